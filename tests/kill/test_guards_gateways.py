"""What agents see and get at the gateways under a lock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateways.ground import Edge, open_edge
from tests.gateways.serving import serving
from tests.kill.guarded import MODES
from tests.rig.deadline import eventually_async, let_pass
from tests.rig.world import agent_document, world
from watchkeeper.core.errors import Forbidden
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.kill.model import LockTarget, NewLock
from watchkeeper.wire.decisions import Ask
from watchkeeper.wire.locks import Mode, TargetKind

STREAMS = 12
ASK: dict[str, Any] = {
    "model": "small-fast",
    "messages": [{"role": "user", "content": "go on"}],
    "stream": True,
}


async def endless(scope: Any, receive: Any, send: Any) -> None:
    """A provider whose answers never end: chunk after chunk, as fast as they are taken."""
    chunk = {"choices": [{"index": 0, "delta": {"content": "on and on "}, "finish_reason": None}]}
    event = b"data: " + json.dumps(chunk).encode() + b"\n\n"
    head = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    gone = asyncio.create_task(_left(receive))
    try:
        while not gone.done():
            await send({"type": "http.response.body", "body": event, "more_body": True})
            await let_pass(0.001)
    finally:
        gone.cancel()


async def _left(receive: Any) -> None:
    """Return when whoever asked has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    documents = world(agent=agent_document(hold_seconds=0))
    async with open_edge(tmp_path, *documents) as opened:
        yield opened


async def lock(edge: Edge, kind: TargetKind, name: str, mode: Mode = "pause") -> str:
    made, _ = await edge.kill.lock(
        NewLock(LockTarget(kind, name), mode=mode, reason="drill", by="bob")
    )
    return made.lock


async def lift(edge: Edge, name: str) -> None:
    await edge.kill.lift(name, reason="over", by="person/bob")


@pytest.mark.parametrize(
    ("kind", "name"), [("agent", "clerk"), ("model", "small-fast"), ("everything", "*")]
)
async def test_no_chunk_is_sent_after_the_answer_of_a_kill(
    tmp_path: Path, kind: TargetKind, name: str
) -> None:
    """Looked at where the plane hands bytes to its server: the last thing is the error event."""
    sent: list[tuple[int, dict[str, Any]]] = []

    async def route(scope: Any, receive: Any, send: Any) -> None:
        async def noting(message: dict[str, Any]) -> None:
            sent.append((id(scope), message))
            await send(message)

        await made.gateways.apps["/openai/v1"](scope, receive, noting)

    async with serving(endless) as provider:
        documents = world(provider_url=f"{provider}/v1")
        async with open_edge(tmp_path, *documents) as made, serving(route) as url:
            token = await made.open_run()
            headers = {"authorization": f"Bearer {token}"}

            async def read() -> bytes:
                async with made.http.post(
                    f"{url}/openai/v1/chat/completions", json=ASK, headers=headers
                ) as answer:
                    return await answer.read()

            reading = [asyncio.create_task(read()) for _ in range(STREAMS)]

            async def all_stream() -> bool:
                streams = [one for one, message in sent if message.get("body")]
                return all(streams.count(one) > 3 for one in set(streams)) and (
                    len(set(streams)) == STREAMS
                )

            await eventually_async(all_stream, "every stream is under way")
            made_lock = await lock(made, kind, name, "stop")
            answered = len(sent)
            answers = await asyncio.wait_for(asyncio.gather(*reading), 20)
    late = sent[answered:]
    assert len(late) <= STREAMS, "one last word each, at most"
    for _, message in late:
        assert message["more_body"] is False
        assert made_lock.encode() in message["body"], "the last word is the protocol's error"
        assert b"on and on" not in message["body"]
    for answer in answers:
        last = answer.rstrip(b"\n").rpartition(b"data: ")[2]
        said = json.loads(last) if last != b"[DONE]" else json.loads(
            answer.rpartition(b"data: [DONE]")[0].rstrip(b"\n").rpartition(b"data: ")[2]
        )  # fmt: skip
        assert made_lock in json.dumps(said["error"])


async def tools(edge: Edge, token: str) -> list[str]:
    """Return the tools that are listed to an agent."""
    async with edge.mcp(token) as client:
        return [tool.name for tool in (await client.list_tools()).tools]


async def test_what_a_lock_refuses_is_not_listed_and_comes_back(edge: Edge) -> None:
    token = await edge.open_run()
    whole = await tools(edge, token)
    assert "books_echo" in whole
    one = await lock(edge, "tool", "books.echo")
    assert await tools(edge, token) == [name for name in whole if name != "books_echo"]
    other = await lock(edge, "upstream", "books", "deny-new")
    assert await tools(edge, token) == []
    await lift(edge, other)
    mine = await lock(edge, "agent", "clerk")
    assert await tools(edge, token) == []
    await lift(edge, mine)
    await lift(edge, one)
    assert await tools(edge, token) == whole


@pytest.mark.parametrize(
    ("kind", "name"), [("model", "small-fast"), ("provider", "local"), ("agent", "clerk")]
)
async def test_models_that_a_lock_refuses_are_not_listed(
    edge: Edge, kind: TargetKind, name: str
) -> None:
    token = await edge.open_run()
    async with edge.openai(token) as client:
        assert [one.id async for one in client.models.list()] == ["small-fast"]
        made = await lock(edge, kind, name)
        assert [one.id async for one in client.models.list()] == []
        await lift(edge, made)
        assert [one.id async for one in client.models.list()] == ["small-fast"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_refused_call_names_the_lock_and_is_not_to_be_retried(
    edge: Edge, mode: Mode
) -> None:
    token = await edge.open_run()
    made = await lock(edge, "tool", "books.lookup_charge", mode)
    async with edge.mcp(token) as client:
        result = await client.call_tool("books.lookup_charge", {"charge_id": "ch_1"})
    said = result.structured_content
    assert said is not None
    assert (said["status"], said["rule"], said["retryable"]) == ("denied", f"lock/{made}", False)


async def refusals(edge: Edge, token: str, credential: str) -> dict[str, tuple[int, str]]:
    """Knock at every way in; return what each answers."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "books.echo", "arguments": {}}}  # fmt: skip
    hook = {"hook_event_name": "PreToolUse", "session_id": "s1", "tool_name": "Bash",
            "tool_input": {"command": "ls"}, "tool_use_id": "t1", "cwd": "/"}  # fmt: skip
    found = {}
    for path, body, bearer in (
        ("/mcp", call, token),
        ("/mcp", {**call, "method": "tools/list", "params": {}}, token),
        ("/openai/v1/chat/completions", {**ASK, "stream": False}, token),
        ("/hooks/claude", hook, credential),
    ):
        headers = {"authorization": f"Bearer {bearer}", "accept": "application/json"}
        async with edge.http.post(edge.url + path, json=body, headers=headers) as answer:
            found[f"{path} {body.get('method', '')}"] = (answer.status, await answer.text())
    return found


async def test_every_way_in_refuses_by_the_switch_with_the_store_gone(edge: Edge) -> None:
    token = await edge.open_run()
    envelopes = Envelopes(edge.decider)
    async with edge.mcp(token) as client:
        await client.list_tools()
    before = await refusals(edge, token, "wka_nobody")
    assert "STOP" not in str(before)
    edge.decider.switched_off = lambda: "by hand"
    await edge.store.close()
    for way, (status, said) in (await refusals(edge, token, "wka_nobody")).items():
        if way.startswith("/hooks"):
            # a credential that is not known cannot be looked up either, and is refused for that
            assert "deny" in said
            continue
        assert "lock/STOP" in said, way
        assert status in (200, 403)
    with pytest.raises(Forbidden, match="by hand"):
        await edge.decider.decide(token, Ask(name="books.echo"))
    with pytest.raises(Forbidden, match="by hand"):
        await envelopes.renew("wka_nobody", "run_1")
