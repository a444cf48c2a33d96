"""Every way by which words of others come into a plane, each with somebody planted in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.invariants.test_canaries import Planted
from tests.rig.agent import Run
from tests.rig.plane import Plane
from tests.rig.provider import Provider
from tests.telemetry.said import attributes, post, send, span

_numbers = count(1)
CODING = ("claude.bash", "codex.bash", "gemini.run_shell_command", "cursor.shell")
HOOKS: dict[str, tuple[str, str, str, str]] = {
    "claude": ("PreToolUse", "PostToolUse", "Bash", "tool_response"),
    "codex": ("PreToolUse", "PostToolUse", "Bash", "tool_response"),
    "gemini": ("BeforeTool", "AfterTool", "run_shell_command", "tool_response"),
}
"""Per framework: the moments before and after a tool, a tool's name, and where its answer is."""


@dataclass
class Ground:
    """One agent of one plane, its run, and who is planted in it."""

    plane: Plane
    provider: Provider
    run: Run
    planted: Planted

    @property
    def person(self) -> Callable[[str], str]:
        """A mail address for one place."""
        return self.planted.person


async def tools(ground: Ground) -> None:
    """Arguments, results, errors, keys, file names, `_meta`, and calls that are not made."""
    person = ground.person
    about: Any = {
        "watchkeeper/explanation": f"for {person('explanation')}",
        "own/thing": person("meta"),
        person("meta key"): 1,
        "baggage": f"user={person('baggage')}",
        "tracestate": f"v={person('tracestate')}",
    }
    async with ground.run.mcp() as client:

        async def call(tool: str, **given: Any) -> None:
            await client.call_tool(f"books.{tool}", given, meta=about)

        await call("vaulted", text=person("argument and result"))
        await call("vaulted", text=json.dumps({"inner": person("json in text")}))
        await call("vaulted", text="x", **{person("key"): [person("deep")]})
        await call("vaulted", text=f"/home/{person('file name')}/cv.pdf")
        await call("failing", message=f"no {person('tool error')}")
        await call("misfit", text=person("withheld result"))
        await call("echo", text=person("denied argument"))
        await call("grave", text=person("held argument"))
        await call("echo", text=7, **{person("schema key"): person("schema value")})


async def decisions(ground: Ground) -> None:
    """What an agent asks without a gateway, and says of how it went."""
    person, run = ground.person, ground.run
    asked = run.decide(
        "books.vaulted",
        {"text": person("asked")},
        explanation=person("why"),
        idempotency_key=f"key {person('idempotency key')}",
    )
    if asked["verdict"] == "permit":
        run.settle(asked["decision"], "failed", error=f"lost {person('reported error')}")
    run.decide(
        "books.grave",
        {"text": person("called back argument")},
        explanation=person("called back why"),
        callback="ops",
    )
    run.caller.http.post(
        "/v1/decide", json={"kind": "tool", "name": person("tool name"), "arguments": {}}
    )


async def models(ground: Ground) -> None:
    """Prompts and answers, whole and streamed, and a provider's error."""
    person = ground.person
    client = ground.run.openai()

    def ask(text: str, *, stream: bool = False, **more: Any) -> None:
        said: Any = {"messages": [{"role": "user", "content": text}], **more}
        answer = client.chat.completions.create(model="small-fast", stream=stream, **said)
        if stream:
            list(answer)

    ground.provider.wish(say=f"it was {person('completion')}")
    ask(f"who is {person('prompt')}", user=person("user field"))
    ground.provider.wish(say=f"it was {person('streamed')} again")
    ask(f"and {person('streamed prompt')}", stream=True)
    ground.provider.wish(said={
        "pieces": [json.dumps({"error": {"message": f"no {person('provider error')}"}})],
        "kind": "application/json", "status": 400,
    })  # fmt: skip
    caller = ground.plane.caller(ground.run.token)
    caller.http.post(
        f"{ground.run.model_base_url}/chat/completions",
        json={"model": "small-fast", "messages": [{"role": "user", "content": "x"}]},
    )
    ground.provider.wish()


async def hooks(ground: Ground) -> None:
    """What the hooks of coding agents send before and after a tool, and of a session."""
    person = ground.person
    caller = ground.run.agent.caller
    for framework, (before, after, tool, answer) in HOOKS.items():
        common = {
            "session_id": f"s{next(_numbers)}",
            "transcript_path": f"/home/{person(f'{framework} transcript')}/t.jsonl",
            "cwd": f"/home/{person(f'{framework} directory')}",
            "tool_name": tool,
            "tool_use_id": f"toolu_{next(_numbers)}",
            "tool_input": {"command": f"mail {person(f'{framework} command')}"},
        }
        caller.http.post(f"/hooks/{framework}", json={**common, "hook_event_name": before})
        said = {answer: {"stdout": person(f"{framework} answer")}}
        caller.http.post(f"/hooks/{framework}", json={**common, "hook_event_name": after, **said})
    shell = {
        "conversation_id": f"c{next(_numbers)}", "generation_id": "g1",
        "hook_event_name": "beforeShellExecution", "cwd": f"/home/{person('cursor directory')}",
        "command": f"mail {person('cursor command')}", "user_email": person("cursor user"),
    }  # fmt: skip
    caller.http.post("/hooks/cursor", json=shell)


async def telemetry(ground: Ground) -> None:
    """Attributes, events, names and bodies of spans and log records."""
    person, plane = ground.person, ground.plane
    at = plane.operator.get("/v1/status")["now"]
    said = span(
        f"chat {person('span name')}", next(_numbers), at, trace=f"{next(_numbers):032x}",
        gen_ai__operation__name="chat", gen_ai__request__model="small-fast",
        gen_ai__input__messages=person("input messages"), input__value=person("input value"),
        traceloop__entity__input=person("entity"), own=person("own attribute"),
        user__email=person("user attribute"), enduser__id=person("enduser"),
        gen_ai__conversation__id=person("conversation"), session__id=person("session"),
    )  # fmt: skip
    event = said.events.add(name=person("span event"), time_unix_nano=at * 1000)
    event.attributes.add(key="content").value.string_value = person("event attribute")
    said.attributes.add(key=person("attribute name")).value.string_value = "x"
    said.status.code = Status.STATUS_CODE_ERROR
    said.status.message = person("span status")
    tool = span(
        "execute_tool", next(_numbers), at, trace=f"{next(_numbers):032x}",
        gen_ai__operation__name="execute_tool", gen_ai__tool__name=person("reported tool"),
        gen_ai__tool__call__arguments=person("reported arguments"),
        gen_ai__tool__call__result=person("reported result"),
    )  # fmt: skip
    send(plane, ground.run.token, said, tool, service__name=person("resource"))
    record = LogRecord(event_name="claude_code.tool_result", time_unix_nano=at * 1000)
    record.attributes.extend(
        attributes({
            "tool_name": "Bash", "tool_input": person("log input"), "success": "false",
            "error": person("log error"), "user.email": person("log user"),
            "prompt": person("log prompt"), "session.id": person("log session"),
        })
    )  # fmt: skip
    record.body.string_value = person("log body")
    logs = ExportLogsServiceRequest()
    logs.resource_logs.add().scope_logs.add().log_records.append(record)
    post(plane, ground.run.token, logs.SerializeToString(), path="/v1/logs")


async def people(ground: Ground) -> None:
    """What people type: comments, votes, why something is stopped, notes on it."""
    person, operator = ground.person, ground.plane.operator
    agent = ground.run.agent.name
    for number, held in enumerate(operator.get("/v1/requests", agent=agent)["rows"]):
        request = f"/v1/requests/{held['request']}"
        operator.post(f"{request}/comments", {"text": f"who is {person(f'comment {number}')}?"})
        vote = {"digest": operator.get(request)["digest"], "verdict": "reject"}
        operator.post(f"{request}/votes", {**vote, "reason": f"not for {person(f'vote {number}')}"})
    stopped = operator.post(
        "/v1/locks",
        {"target": {"kind": "run", "name": ground.run.id}, "mode": "stop",
         "reason": f"it wrote to {person('lock')}"},
    )  # fmt: skip
    about = f"/v1/incidents/{stopped['incident']}"
    operator.post(f"{about}/notes", {"text": f"told {person('note')}"})
    operator.post(f"/v1/locks/{stopped['lock']}/lift", {"reason": f"asked {person('lift')}"})
    operator.get(f"{about}/report")
    operator.post(f"{about}/close", {"reason": f"wrote to {person('closing')}"})


async def ends(ground: Ground) -> None:
    """What an agent says at the end of its run."""
    ground.run.caller.http.post(
        f"/v1/runs/{ground.run.id}/close",
        json={"outcome": "failed", "summary": f"left {ground.person('summary')}"},
    )


WAYS = (tools, decisions, models, hooks, telemetry, people, ends)
