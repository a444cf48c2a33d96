"""What tests of agents that play a recorded run share."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from tests.replays.agent import work
from tests.rig.agent import Agent
from tests.rig.deadline import eventually
from tests.rig.plane import Plane

REFUND = {"charge_id": "ch_1", "amount_usd": 5}


def environment(opened: dict[str, Any]) -> dict[str, str]:
    return {
        "WATCHKEEPER_RUN_TOKEN": opened["token"],
        "WATCHKEEPER_MCP_URL": opened["mcp_url"],
        "OPENAI_BASE_URL": opened["model_base_url"],
    }


def recorded(plane: Plane, agent: Agent) -> tuple[str, list[str]]:
    """Have an agent work; return its run, and what it was told."""
    opened = agent.caller.post("/v1/runs", {"goal": "refund it"})
    told = asyncio.run(work(environment(opened)))
    run = opened["run"]

    def kept() -> bool:
        rows = plane.operator.get(f"/v1/runs/{run}/steps")["rows"]
        details = [plane.operator.get(f"/v1/runs/{run}/steps/{row['step']}") for row in rows]
        parts = [{part["part"] for part in one["contents"]} for one in details]
        return bool(rows) and all(one >= {"input", "output"} for one in parts)

    eventually(kept, "what was said")
    plane.caller(opened["token"]).post(f"/v1/runs/{run}/close", {"outcome": "succeeded"})
    return run, told


def play(plane: Plane, run: str, **more: Any) -> dict[str, Any]:
    opened: dict[str, Any] = plane.operator.post(
        f"/v1/runs/{run}/playbacks", {"reason": "what if", **more}
    )
    return opened


def end(plane: Plane, opened: dict[str, Any]) -> dict[str, Any]:
    ended: dict[str, Any] = plane.operator.post(f"/v1/runs/{opened['run']}/playback/end", {})
    return ended


def over(plane: Plane, opened: dict[str, Any]) -> bool:
    """Tell whether a replay's token opens nothing at the gateways either."""
    headers = {"authorization": f"Bearer {opened['token']}"}
    message = {"role": "user", "content": "refund it"}
    asks = {"model": "small-fast", "max_tokens": 5, "messages": [message]}
    listed = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    calls = {**listed, "method": "tools/call", "params": {"name": "books_echo", "arguments": {}}}
    accept = {"accept": "application/json, text/event-stream"}
    with httpx.Client(base_url=plane.url, headers=headers, timeout=30) as client:
        answers = [
            client.post("/openai/v1/chat/completions", json=asks),
            client.get("/openai/v1/models"),
            client.post("/mcp", json=listed, headers=accept),
            client.post("/mcp", json=calls, headers=accept),
        ]
        by_key = {"x-api-key": opened["token"]}
        answers.append(httpx.post(f"{plane.url}/anthropic/v1/messages", json=asks, headers=by_key))
    assert [one.status_code for one in answers] == [401] * 5, [one.text for one in answers]
    return all("no replay is under way" in one.text for one in answers)


def anyones(plane: Plane, token: str, opened: dict[str, Any]) -> list[httpx.Response]:
    """Try all else that a token could be good for."""
    exchange = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
    }
    run = opened["run"]
    tried = [
        ("/v1/decide", {"kind": "tool", "name": "books.echo", "arguments": {}}),
        ("/v1/runs", {"goal": "more"}),
        (f"/v1/runs/{run}/token", {}),
        (f"/v1/runs/{run}/close", {"outcome": "failed"}),
        (f"/v1/runs/{run}/playback/end", {}),
        ("/v1/apply", {}),
        ("/hooks/claude", {"session_id": "s", "hook_event_name": "PreToolUse",
                           "tool_name": "Bash", "tool_input": {"command": "ls"}}),
        ("/hooks/token", {}),
        ("/v1/traces", {"resourceSpans": []}),
        ("/access/v1/evaluation", {}),
    ]  # fmt: skip
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=plane.url, headers=headers, timeout=30) as client:
        found = [client.post(path, json=body) for path, body in tried]
        found.append(client.post("/oauth/token", data=exchange))
        found.append(client.get(f"/v1/runs/{run}"))
    return found


def as_person(plane: Plane, person: str, role: str) -> Any:
    body = {"person": person, "permission": role}
    return plane.caller(plane.operator.post("/v1/persons/tokens", body)["token"])


def use(
    opened: dict[str, Any], name: str, arguments: dict[str, Any], key: str | None = None
) -> dict[str, Any]:
    """Call a tool with nothing but a request."""
    params: dict[str, Any] = {"name": name, "arguments": arguments}
    if key is not None:
        params["_meta"] = {"watchkeeper/idempotency-key": key}
    answer = httpx.post(
        opened["mcp_url"],
        json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params},
        headers={"authorization": f"Bearer {opened['token']}",
                 "accept": "application/json, text/event-stream"},
        timeout=30,
    )  # fmt: skip
    found: dict[str, Any] = answer.json()["result"]
    return found
