"""A call that a lock cuts is withdrawn at its upstream, and its receipt says how it ended."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.cutting import CHILD
from tests.gateways.crooked_models import respond
from tests.gateways.ground import Edge, open_edge
from tests.gateways.serving import serving
from tests.rig.deadline import eventually_async
from tests.rig.world import agent_document, upstream_document, world
from watchkeeper.kill.model import LockTarget, NewLock, Receipt
from watchkeeper.kill.receipts import receipts_of

SLOW = """
tool:
  name: books.slow
  upstream: books
  upstream_tool: wait_until_told
  does: Does something that takes long.
  access: write
  risk: low
"""
Heard = Callable[[], list[str]]


class Sessions:
    """A server of the handshake era that never answers a call."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = (await receive()).get("body", b"")
        asked = json.loads(body) if body else {"method": scope["method"]}
        self.heard.append(asked["method"])
        said: dict[str, Any] = {"jsonrpc": "2.0", "id": asked.get("id")}
        match asked["method"]:
            case "initialize":
                result = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {}}
                session = [(b"mcp-session-id", b"s1")]
                await respond(send, 200, {**said, "result": result}, session)
            case "tools/list":
                tool = {"name": "wait_until_told", "inputSchema": {"type": "object"}}
                await respond(send, 200, {**said, "result": {"tools": [tool]}})
            case "tools/call":
                await receive()  # until who asked has gone
            case "server/discover":
                error = {"code": -32601, "message": "no such method"}
                await respond(send, 200, {**said, "error": error})
            case _:
                await respond(send, 202, {})


@pytest.fixture(params=["stdio", "http"])
async def upstream(request: Any, tmp_path: Path) -> AsyncIterator[tuple[str, Heard, str]]:
    """An upstream's document, what it was asked, and how it ends under a lock on itself."""
    if request.param == "stdio":
        log = tmp_path / "child.log"
        log.touch()
        command = [sys.executable, "-c", CHILD, str(log)]
        document = upstream_document(command=command)
        heard = lambda: [json.loads(one)[0] for one in log.read_text().splitlines()]  # noqa: E731
        yield document, heard, "its process has ended, with its group"
        return
    sessions = Sessions()
    async with serving(sessions) as url:
        yield upstream_document(url=f"{url}/mcp"), lambda: sessions.heard, "its session is closed"


@pytest.mark.parametrize("kind", ["agent", "upstream"])
async def test_a_cut_call_is_withdrawn_and_its_receipt_tells_of_an_unknown_outcome(
    tmp_path: Path, upstream: tuple[str, Heard, str], kind: Any
) -> None:
    document, heard, ends = upstream
    documents = world(SLOW, upstream=document, agent=agent_document(tools=["slow"]))
    async with open_edge(tmp_path, *documents) as edge:
        await edge.upstream_up()
        token = await edge.open_run()
        async with edge.mcp(token) as client:
            calls = [
                asyncio.create_task(client.call_tool("books.slow", {"label": str(number)}))
                for number in range(3)
            ]
            await eventually_async(_times(heard, "tools/call", 3), "all run")
            target = LockTarget(kind, "clerk" if kind == "agent" else "books")
            lock, _ = await edge.kill.lock(
                NewLock(target, mode="stop", reason="odd", by="person/ada")
            )
            for said in await asyncio.gather(*calls):
                assert said.structured_content["status"] == "unknown"
        receipts = await _answered(edge, lock.lock)
        assert receipts["calls"].detail == ("cut: 3; all ended, 3 outcomes unknown")
        outcomes = await edge.outcomes(3)
        assert {one["status"] for one in outcomes} == {"unknown"}
        assert all(lock.lock in one["error"] for one in outcomes)
        if kind == "agent":
            await eventually_async(_times(heard, "notifications/cancelled", 3), "all withdrawn")
        else:
            assert ends in receipts["upstream/books"].detail


def _times(heard: Heard, method: str, times: int) -> Callable[[], Awaitable[bool]]:
    async def found() -> bool:
        return heard().count(method) >= times

    return found


async def _answered(edge: Edge, lock: str) -> dict[str, Receipt]:
    """Return what was told of a stop, by party, once all have acknowledged."""

    async def found() -> dict[str, Receipt] | None:
        rows = await edge.store.read(lambda tx: receipts_of(tx, lock))
        told = {row.party: row for row in rows if row.effect == "stop run"}
        return told if all(one.state == "acknowledged" for one in told.values()) else None

    return await eventually_async(found, "all have acknowledged")
