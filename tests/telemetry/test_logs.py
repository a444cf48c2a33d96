"""Log records that tell of actions: joined to runs, and held against what the gateways saw."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.rig.agent import Agent
from tests.rig.plane import Plane
from tests.rig.world import agent_document
from tests.telemetry.captured import captured
from tests.telemetry.said import attributes, post, send, span
from tests.telemetry.test_bypass import found, now

CODER = """
agent:
  name: {name}
  owner: platform
  namespace: default
  mission: Work in the repository.
  tools: {{allowlist: [{{name: claude.bash}}, {{name: codex.bash}},
          {{name: gemini.run_shell_command}}]}}
  approvals: {{role: finance-ops, sla_seconds: 900, hold_seconds: 0}}
  identity: {{mode: own, token_ttl_seconds: 900}}
"""
TOOLS = tuple(
    f"tool: {{name: {name}, does: Runs a command., access: write, risk: medium}}"
    for name in ("claude.bash", "codex.bash", "gemini.run_shell_command")
)
HOOKS: dict[str, dict[str, Any]] = {
    "claude": {
        "hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_use_id": "toolu_mark",
        "tool_input": {"command": "echo ran >> marker"},
    },
    "codex": {
        "hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_use_id": "call_mark",
        "tool_input": {"command": "echo ran"},
    },
    "gemini": {
        "hook_event_name": "BeforeTool", "tool_name": "run_shell_command",
        "tool_input": {"command": "echo ran", "description": "x"},
    },
}  # fmt: skip
"""What each asks its hook of the call that it then reports."""
REPORTED = {
    "claude": ("Bash", "claude-sonnet-4-5"),
    "codex": ("exec_command", "gpt-5.2"),
    "gemini": ("run_shell_command", "gemini-2.5-flash"),
}
PATHS = {
    "resourceLogs": "/v1/logs",
    "resourceSpans": "/v1/traces",
    "resourceMetrics": "/v1/metrics",
}
_number = count(1)


@pytest.fixture
def coder(plane: Plane) -> Agent:
    name = f"coder-{next(_number)}"
    plane.apply(CODER.format(name=name), *TOOLS)
    return plane.enrol(name)


def send_logs(plane: Plane, token: str, *records: LogRecord, **resource: Any) -> None:
    sent = ExportLogsServiceRequest()
    group = sent.resource_logs.add()
    group.resource.attributes.extend(attributes(resource))
    group.scope_logs.add().log_records.extend(records)
    assert post(plane, token, sent.SerializeToString(), path="/v1/logs").status_code == 200


def record(name: str, at: int, trace: str = "", span_id: int = 0, **said: Any) -> LogRecord:
    of = {key.replace("__", "."): one for key, one in said.items()}
    return LogRecord(
        event_name=name,
        time_unix_nano=at * 1000,
        attributes=attributes(of),
        trace_id=bytes.fromhex(trace),
        span_id=span_id.to_bytes(8, "big") if trace else b"",
    )


def replay(plane: Plane, agent: Agent, client: str, at: int, *signals: str) -> str:
    """Send what a client sent; return its session."""
    session = f"session-{agent.name}"
    for signal, sent in captured(client, session, at).items():
        if signal in signals:
            body = json.dumps(sent).encode()
            answered = post(
                plane, agent.credential, body, path=PATHS[signal], kind="application/json"
            )
            assert answered.status_code == 200, answered.text
    return session


def ask_hook(plane: Plane, agent: Agent, client: str) -> None:
    """Have the client's hook ask for the call that it reports, before it runs."""
    event = {**HOOKS[client], "session_id": f"session-{agent.name}"}
    said = json.dumps(agent.caller.post(f"/hooks/{client}", event))
    assert "deny" not in said, said


def spans(plane: Plane, agent: Agent) -> list[dict[str, Any]]:
    page: dict[str, Any] = plane.operator.get("/v1/spans", agent=agent.name, source="agent")
    rows: list[dict[str, Any]] = page["rows"]
    return rows


@pytest.mark.parametrize("client", HOOKS)
def test_logs_alone_tell_of_calls_that_no_gateway_saw(
    plane: Plane, coder: Agent, client: str
) -> None:
    replay(plane, coder, client, now(plane), "resourceLogs")
    rows = found(plane, coder)
    assert {row["subject"]: row["count"] for row in rows} == dict(
        zip(REPORTED[client], (1, 2), strict=True)
    )
    page = plane.operator.get("/v1/telemetry/findings", agent=coder.name)
    assert {row["kind"] for row in page["rows"]} == {"bypass"}, "it is not its own rogue"


@pytest.mark.parametrize("client", HOOKS)
def test_what_a_hook_permitted_passed_no_gateway_by(
    plane: Plane, coder: Agent, client: str
) -> None:
    at = now(plane)
    ask_hook(plane, coder, client)
    # it waited for its person before it ran
    later = at + 5_000_000 if client == "gemini" else at + 300_000_000
    replay(plane, coder, client, later, "resourceLogs")
    tool, model = REPORTED[client]
    assert [row["subject"] for row in found(plane, coder)] == [model]
    (decision,) = plane.operator.get("/v1/decisions", agent=coder.name)["rows"]
    kept = spans(plane, coder)
    assert {row["run"] for row in kept} == {decision["run"]}
    (call,) = (row for row in kept if row["subject"] == tool)
    assert [link["relation"] for link in call["links"]] == ["said"]
    operations = {row["operation"] for row in kept}
    assert {"user_prompt", "execute_tool"} < operations


def test_a_tool_that_is_not_named_is_any_that_was_asked_for(plane: Plane, coder: Agent) -> None:
    run, at = coder.open_run(), now(plane)
    run.decide("books.echo")
    called: dict[str, Any] = {"tool_name": "mcp_tool", "duration_ms": 30}
    records = (
        record("claude_code.tool_result", at + 30_000, tool_use_id=f"toolu_{n}", **called)
        for n in range(2)
    )
    send_logs(plane, run.token, *records, **{"service.name": "claude-code"})
    assert [(row["subject"], row["count"]) for row in found(plane, coder)] == [("mcp_tool", 1)]


def test_a_call_that_a_span_and_a_log_record_tell_of_is_one(plane: Plane, coder: Agent) -> None:
    replay(plane, coder, "claude", now(plane), "resourceLogs", "resourceSpans")
    counts = {row["subject"]: row["count"] for row in found(plane, coder)}
    assert counts == {"Bash": 1, "claude-sonnet-4-5": 2}


@pytest.mark.parametrize("client", ["claude", "gemini"])
def test_the_record_may_be_looked_for_before_its_span_comes(
    plane: Plane, coder: Agent, client: str
) -> None:
    at = now(plane)
    replay(plane, coder, client, at, "resourceLogs")
    before = found(plane, coder)
    replay(plane, coder, client, at, "resourceSpans", "resourceLogs")  # sent again, too
    after = found(plane, coder)
    assert [row["count"] for row in after] == [row["count"] for row in before]


def test_an_event_of_opentelemetry_is_part_of_its_span_or_a_call_by_itself(
    plane: Plane, coder: Agent
) -> None:
    run, at, trace = coder.open_run(), now(plane), f"{0xA1:032x}"
    details: dict[str, Any] = {
        "gen_ai__operation__name": "chat",
        "gen_ai__request__model": "small-fast",
    }
    run.decide("small-fast", kind="model")
    plane.advance(90)  # an answer may take long, and the event says when it came
    chat = span("chat small-fast", 7, at, trace=trace, took=90_000_000, **details)
    name = "gen_ai.client.inference.operation.details"
    send(plane, run.token, chat)
    send_logs(plane, run.token, record(name, now(plane), trace, 7, **details))
    assert found(plane, coder) == []
    send_logs(plane, run.token, record(name, now(plane), **details))
    assert [row["subject"] for row in found(plane, coder)] == ["small-fast"]

    second = coder.open_run()
    second.decide("small-fast", kind="model")
    plane.advance(300)
    send_logs(plane, second.token, record(name, now(plane), **details))
    assert [row["run"] for row in found(plane, coder)] == [run.id]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gemini_cli.tool_call", {"function_name": "shell", "decision": "reject"}),
        ("codex.api_request", {"model": "gpt", "endpoint": "/models",
                               "http__response__status_code": 200}),
        ("codex.api_request", {"model": "gpt", "endpoint": "/responses",
                               "error__message": "connection refused"}),
        ("claude_code.api_error", {"model": "claude", "error": "connection refused"}),
        ("claude_code.tool_decision", {"tool_name": "Bash", "decision": "accept"}),
        ("something.else", {"tool_name": "Bash"}),
        ("gen_ai.user.message", {"gen_ai.system": "openai", "content": "hello"}),
    ],
)  # fmt: skip
def test_what_was_not_done_is_no_call(
    plane: Plane, coder: Agent, name: str, said: dict[str, Any]
) -> None:
    send_logs(plane, coder.credential, record(name, now(plane), **said))
    assert found(plane, coder) == []
    (sender,) = (
        row for row in plane.operator.get("/v1/telemetry")["senders"] if row["agent"] == coder.name
    )
    assert sender["logs"] == 1


def test_a_failed_call_was_made(plane: Plane, coder: Agent) -> None:
    failed: dict[str, Any] = {"model": "claude-x", "error": "overloaded", "status_code": "529"}
    send_logs(plane, coder.credential, record("claude_code.api_error", now(plane), **failed))
    assert [row["subject"] for row in found(plane, coder)] == ["claude-x"]
    (kept,) = spans(plane, coder)
    assert (kept["status"], kept["attributes"]["status_code"]) == ("error", "529")


@pytest.mark.parametrize(
    ("logging", "kept"),
    [
        ("{trace_level: full, pii_redaction: 'off'}", "whole"),
        ("{trace_level: full, pii_redaction: strict}", "cleaned"),
        ("{trace_level: metadata}", "digests"),
        ("{trace_level: 'off'}", "nothing"),
        ("{zero_retention: true}", "digests"),
    ],
)
def test_contents_of_log_records_are_kept_as_the_contract_says(
    plane: Plane, logging: str, kept: str
) -> None:
    name = f"teller-{next(_number)}"
    contract = agent_document(name).replace("  model_routing: {default: small-fast}\n", "")
    plane.apply(f"{contract}  logging: {logging}\n")
    agent, at = plane.enrol(name), now(plane)
    address = f"ada.{name}@example.org"
    canary = f"wkcanary {address}"
    details = record(
        "gen_ai.client.inference.operation.details", at,
        gen_ai__input__messages=[{"content": canary}], gen_ai__request__model="small-fast",
    )  # fmt: skip
    details.body.string_value = canary
    prompt = record("claude_code.user_prompt", at, prompt=canary, user__email=canary)
    failed = record(
        "claude_code.tool_result", at, tool_name=canary, tool_input=canary, success="false",
        error=canary, error__type=canary, session__id=canary,
    )  # fmt: skip
    failed.attributes.add(key=canary).value.string_value = canary
    send_logs(plane, agent.credential, details, prompt, failed, **{"service.name": "own"})
    found(plane, agent)
    stored = b"".join(path.read_bytes() for path in plane.state.rglob("*") if path.is_file())
    shown = json.dumps(spans(plane, agent))
    if kept == "nothing":
        assert spans(plane, agent) == []
    if kept == "digests":
        assert "sha256:" in shown
    if kept == "cleaned":
        assert "wkcanary" in shown
    if kept == "whole":
        assert canary in shown
        assert canary.encode() in stored, "it would be found"
        return
    assert address not in shown
    assert address.encode() not in stored
