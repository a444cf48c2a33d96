"""The tasks extension: a held call that its client follows by asking after it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.gateways.ground import Edge
from tests.rig.deadline import eventually_async
from tests.rig.upstream import Upstream
from tests.rig.world import TOOLS
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.decide.held.deferred import deferred
from watchkeeper.kill.model import LockTarget, NewLock

EXTENSION = "io.modelcontextprotocol/tasks"
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {"extensions": {EXTENSION: {}}},
}
BARE = {**META, "io.modelcontextprotocol/clientCapabilities": {}}
_amounts = itertools.count(30_100)


async def send(
    edge: Edge, token: str, method: str, named: str, *, meta: Any = META, **params: Any
) -> dict[str, Any]:
    """Send one modern request and return the whole answer."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
    headers = {
        "authorization": f"Bearer {token}",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": method,
        "mcp-name": named,
    }
    async with edge.http.post(f"{edge.url}/mcp", json=body, headers=headers) as answer:
        found: dict[str, Any] = await answer.json()
        return found


async def call(edge: Edge, token: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Call the refund tool."""
    name = "books.create_refund"
    found = await send(edge, token, "tools/call", name, name=name, arguments=arguments)
    result: dict[str, Any] = found["result"]
    return result


async def get(edge: Edge, token: str, task: str) -> dict[str, Any]:
    """Ask after a task."""
    result: dict[str, Any] = (await send(edge, token, "tasks/get", task, taskId=task))["result"]
    assert result["resultType"] == "complete"
    return result


def a_refund() -> dict[str, Any]:
    """Return arguments that need a person, and that no other test uses."""
    return {"charge_id": "ch_1", "amount_usd": next(_amounts) / 100}


async def completed(edge: Edge, token: str, task: str) -> dict[str, Any]:
    """Ask after a task until it has ended; return it."""

    async def ended() -> dict[str, Any] | None:
        found = await get(edge, token, task)
        return found if found["status"] != "working" else None

    return await eventually_async(ended, "the task ends")


async def test_a_held_call_is_a_task_that_runs_once_when_asked_after(
    edge: Edge, books: Upstream
) -> None:
    token, arguments = await edge.open_run(), a_refund()
    task = await call(edge, token, arguments)
    assert task["resultType"] == "task"
    assert task["status"] == "working"
    assert task["ttlMs"] > 900_000
    assert task["pollIntervalMs"] > 0
    assert task["createdAt"].endswith("Z")
    handle = task["taskId"]
    waiting = await get(edge, token, handle)
    assert (waiting["status"], waiting["taskId"]) == ("working", handle)
    assert len(await edge.events("decision.held")) == 1
    await edge.vote()
    assert arguments not in books.executions("create_refund"), "nothing runs by itself"
    done = await completed(edge, token, handle)
    assert done["status"] == "completed"
    assert done["result"]["isError"] is False
    assert done["result"]["resultType"] == "complete"
    assert books.executions("create_refund").count(arguments) == 1
    assert (await get(edge, token, handle))["result"] == done["result"]
    again = await call(edge, token, arguments)
    assert again["structuredContent"] == done["result"]["structuredContent"]
    assert books.executions("create_refund").count(arguments) == 1


async def test_a_rejected_task_completes_with_the_refusal(edge: Edge) -> None:
    token = await edge.open_run()
    handle = (await call(edge, token, a_refund()))["taskId"]
    await edge.vote("reject", "not this one")
    done = await completed(edge, token, handle)
    assert done["result"]["isError"] is True
    assert "not this one" in done["result"]["content"][0]["text"]
    denied = len(await edge.events("decision.denied"))
    await get(edge, token, handle)
    assert len(await edge.events("decision.denied")) == denied


async def test_a_pause_holds_an_approved_task_up_and_loses_it_not(
    edge: Edge, books: Upstream
) -> None:
    token, arguments = await edge.open_run(), a_refund()
    handle = (await call(edge, token, arguments))["taskId"]
    await edge.vote()
    lock, _ = await edge.kill.lock(
        NewLock(LockTarget("agent", "clerk"), mode="pause", reason="look first", by="person/owner")
    )
    waiting = await get(edge, token, handle)
    assert waiting["status"] == "working"
    assert "not now" in waiting["statusMessage"]
    assert arguments not in books.executions("create_refund")
    await edge.kill.lift(lock.lock, reason="it is fine", by="person/owner")
    done = await completed(edge, token, handle)
    assert done["result"]["isError"] is False
    assert books.executions("create_refund").count(arguments) == 1


async def test_a_cancelled_task_cancels_its_request(edge: Edge, books: Upstream) -> None:
    token, arguments = await edge.open_run(), a_refund()
    handle = (await call(edge, token, arguments))["taskId"]
    ((request, _),) = await edge.pending()
    answer = await send(edge, token, "tasks/cancel", handle, taskId=handle)
    assert answer["result"]["resultType"] == "complete"
    assert (await get(edge, token, handle))["status"] == "cancelled"
    assert len(await edge.events("request.cancelled")) == 1
    later = await call(edge, token, arguments)
    assert later["taskId"] != handle
    ((anew, _),) = await edge.pending()
    assert anew != request


async def test_a_task_that_has_run_is_not_cancelled(edge: Edge) -> None:
    token = await edge.open_run()
    handle = (await call(edge, token, a_refund()))["taskId"]
    await edge.vote()
    await completed(edge, token, handle)
    await send(edge, token, "tasks/cancel", handle, taskId=handle)
    assert (await get(edge, token, handle))["status"] == "completed"


async def test_a_task_is_its_runs_and_ends(edge: Edge) -> None:
    token, other = await edge.open_run(), await edge.open_run()
    handle = (await call(edge, token, a_refund()))["taskId"]
    for method in ("tasks/get", "tasks/cancel", "tasks/update"):
        answer = await send(edge, other, method, handle, taskId=handle)
        assert answer["error"]["code"] == -32602
    mine = await send(edge, token, "tasks/update", handle, taskId=handle, inputResponses={})
    assert mine["result"]["resultType"] == "complete"
    assert isinstance(edge.store.clock, RehearsalClock)
    edge.store.clock.advance(800)
    assert (await get(edge, token, handle))["status"] == "working"


async def test_arguments_with_a_secret_are_not_kept_for_a_task(edge: Edge) -> None:
    passing = "  amount_usd: amount_usd\n  data: {in: [secret]}\n"
    await edge.apply(TOOLS.replace("  amount_usd: amount_usd\n", passing))
    token = await edge.open_run()
    secret = "AKIAIOSFODNN7EXAMPLQ"
    held = await call(edge, token, {**a_refund(), "reason": f"key {secret}"})
    assert held["resultType"] == "complete"
    assert held["structuredContent"]["status"] == "pending", held
    assert (await call(edge, token, a_refund()))["resultType"] == "task"
    kept = await edge.store.read(
        lambda tx: [row.ask for row in tx.connection.execute(deferred.select())]
    )
    assert len(kept) == 1
    assert secret not in kept[0]


@pytest.mark.parametrize("method", ["tasks/get", "tasks/update", "tasks/cancel"])
async def test_who_does_not_offer_tasks_gets_none(edge: Edge, method: str) -> None:
    token = await edge.open_run()
    handle = (await call(edge, token, a_refund()))["taskId"]
    answer = await send(edge, token, method, handle, meta=BARE, taskId=handle)
    assert answer["error"]["code"] == -32021
    assert EXTENSION in answer["error"]["data"]["requiredCapabilities"]["extensions"]
    wrong = await send(edge, token, method, "wkt_other", taskId=handle)
    assert wrong["error"]["code"] == -32020
