"""One execution, whatever the patience of who asked: clients that give up, come back and ask again.

The clock is the plane's: hours pass in it while a test takes a moment.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from typing import Any

import pytest

from tests.gateways.ground import Edge, text_of
from tests.rig.deadline import eventually_async
from tests.rig.upstream import Upstream
from tests.rig.world import agent_document
from watchkeeper.core.clock import RehearsalClock

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
ERAS = pytest.mark.parametrize("modern", [True, False], ids=["modern", "legacy"])
REFUND = "books.create_refund"
SLOW = """
tool:
  name: books.slow
  upstream: books
  upstream_tool: wait_until_told
  does: Does something that takes long.
  access: write
  risk: low
"""
_amounts = itertools.count(20_100)


async def send(edge: Edge, token: str, name: str, arguments: Any, *, modern: bool) -> Any:
    """Send one tools/call as a client of an era does; return its result."""
    params: dict[str, Any] = {"name": name, "arguments": arguments}
    headers = {"authorization": f"Bearer {token}"}
    headers["accept"] = "application/json, text/event-stream"
    if modern:
        params["_meta"] = META
        headers |= {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call"}
        headers["mcp-name"] = name
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    async with edge.http.post(f"{edge.url}/mcp", json=body, headers=headers) as answer:
        if answer.content_type == "text/event-stream":
            text = (await answer.read()).rsplit(b"data: ", 1)[1]
            return json.loads(text)["result"]
        return (await answer.json())["result"]


async def give_up(call: asyncio.Task[Any]) -> None:
    """Hang up, as a client does whose patience has run out."""
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)


def clock_of(edge: Edge) -> RehearsalClock:
    """Return the plane's clock."""
    assert isinstance(edge.store.clock, RehearsalClock)
    return edge.store.clock


def times_run(books: Upstream, **arguments: Any) -> int:
    """Return how often the upstream ran a tool with these arguments."""
    return books.executions().count(arguments)


@ERAS
@pytest.mark.parametrize("patience", [4, 60, 300])
@pytest.mark.parametrize("hold", [4, 3600], ids=["answered pending", "kept waiting"])
async def test_a_person_decides_after_the_client_gave_up_again_and_again(
    edge: Edge, books: Upstream, patience: int, hold: int, modern: bool
) -> None:
    await edge.apply(agent_document(hold_seconds=hold))
    token, clock = await edge.open_run(), clock_of(edge)
    arguments = {"charge_id": "ch_1", "amount_usd": next(_amounts) / 100}

    async def ask() -> Any:
        return await send(edge, token, REFUND, arguments, modern=modern)

    for attempt in range(3):
        call = asyncio.create_task(ask())
        await edge.pending()
        await waits(edge, 1)
        clock.advance(min(patience, hold) if attempt % 2 else patience / 2)
        if hold == 4 and patience >= hold:
            clock.advance(hold)
            said = await call
            assert said["structuredContent"]["status"] == "pending"
        else:
            await give_up(call)
            await waits(edge, 0)
    assert times_run(books, **arguments) == 0
    await edge.vote()
    assert times_run(books, **arguments) == 0, "nothing runs on an approval by itself"
    done = await ask()
    assert done["isError"] is False, done
    assert times_run(books, **arguments) == 1
    again = await ask()
    assert again["structuredContent"] == done["structuredContent"]
    assert times_run(books, **arguments) == 1


async def waits(edge: Edge, callers: int) -> None:
    """Wait until so many callers wait for a person."""

    async def counted() -> bool:
        return edge.decider.waiting.callers == callers

    await eventually_async(counted, f"{callers} callers wait")


@ERAS
@pytest.mark.parametrize("seed", range(12))
async def test_hanging_up_at_any_moment_never_runs_it_twice(
    edge: Edge, books: Upstream, seed: int, modern: bool
) -> None:
    chance = random.Random(seed)
    await edge.apply(agent_document(hold_seconds=3600))
    token = await edge.open_run()
    arguments = {"charge_id": "ch_2", "amount_usd": next(_amounts) / 100}

    async def ask() -> Any:
        return await send(edge, token, REFUND, arguments, modern=modern)

    async def impatient() -> Any:
        try:
            async with asyncio.timeout(chance.uniform(0, 0.04)):
                return await ask()
        except TimeoutError:
            return None

    async def in_turn(count: int) -> list[Any]:
        return [await impatient() for _ in range(count)]

    before = asyncio.gather(*(in_turn(chance.randint(1, 4)) for _ in range(2)))
    first = asyncio.create_task(ask())
    await edge.pending()
    await before
    if chance.random() < 0.5:
        await give_up(first)
    meanwhile = asyncio.gather(*(in_turn(chance.randint(1, 6)) for _ in range(3)))
    await edge.vote()
    await meanwhile
    done = await ask()
    assert done["isError"] is False, done
    assert times_run(books, **arguments) == 1
    if not first.cancelled():
        assert (await first)["structuredContent"] == done["structuredContent"]
    assert len(await edge.events("grant.redeemed")) == 1


@ERAS
async def test_a_slow_call_is_joined_and_its_lost_result_is_there_later(
    edge: Edge, books: Upstream, modern: bool
) -> None:
    label = f"slow-{modern}"
    await edge.apply(SLOW, agent_document(tools=["slow"], hold_seconds=0))
    token = await edge.open_run()

    async def ask() -> Any:
        return await send(edge, token, "books.slow", {"label": label}, modern=modern)

    async def runs() -> bool:
        return times_run(books, label=label) == 1

    for _ in range(3):
        call = asyncio.create_task(ask())
        await eventually_async(runs, "the upstream runs it")
        await give_up(call)
    joined = [asyncio.create_task(ask()) for _ in range(3)]
    books.tell(label, "done")
    for one in await asyncio.gather(*joined):
        assert one["content"][0]["text"] == "done"
    assert times_run(books, label=label) == 1
    # all of them got it: to do the same once more is a new call
    assert (await ask())["content"][0]["text"] == "done"
    assert times_run(books, label=label) == 2


@ERAS
async def test_a_result_that_nobody_took_is_for_the_next_who_asks(
    edge: Edge, books: Upstream, modern: bool
) -> None:
    label = f"lost-{modern}"
    await edge.apply(SLOW, agent_document(tools=["slow"], hold_seconds=0))
    token = await edge.open_run()

    async def ask() -> Any:
        return await send(edge, token, "books.slow", {"label": label}, modern=modern)

    async def runs() -> bool:
        return times_run(books, label=label) == 1

    async def ended() -> bool:
        return len(await edge.events("outcome.recorded")) == 1

    call = asyncio.create_task(ask())
    await eventually_async(runs, "the upstream runs it")
    await give_up(call)
    books.tell(label, "done")
    await eventually_async(ended, "it ends though nobody waits")
    assert (await ask())["content"][0]["text"] == "done"
    assert times_run(books, label=label) == 1


async def test_who_waits_hears_of_it_at_least_every_fifteen_seconds(edge: Edge) -> None:
    await edge.apply(agent_document(hold_seconds=3600))
    token, clock = await edge.open_run(), clock_of(edge)
    heard: list[tuple[float, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message))

    arguments = {"charge_id": "ch_1", "amount_usd": next(_amounts) / 100}
    async with edge.mcp(token) as client:
        call = asyncio.create_task(client.call_tool(REFUND, arguments, progress_callback=note))
        await edge.pending()
        for signs in range(1, 6):

            async def said(signs: int = signs) -> bool:
                return len(heard) >= signs and edge.decider.waiting.callers == 1

            await eventually_async(said, f"sign {signs}")
            clock.advance(12)
        await edge.vote("reject", "no")
        await call
    times = [progress for progress, _ in heard]
    assert len(times) >= 5
    assert all(0 < late - soon <= 15 for soon, late in itertools.pairwise(times))


async def test_the_decide_api_uses_up_no_approval_for_who_has_hung_up(edge: Edge) -> None:
    """The same path as `POST /v1/decide?wait_seconds=`, which watches its caller alike."""
    from watchkeeper.decide.held.holding import decide_and_hold
    from watchkeeper.wire.decisions import Ask

    token = await edge.open_run()
    ask = Ask(name=REFUND, arguments={"charge_id": "ch_1", "amount_usd": 270})
    gone = asyncio.Event()
    call = asyncio.create_task(
        decide_and_hold(
            edge.decider, token, ask, performer="agent", hold_seconds=300, gone=gone,
            on_hold=lambda answer, waited: None,
        )
    )  # fmt: skip
    await edge.pending()
    await waits(edge, 1)
    gone.set()
    assert await call is None
    await edge.vote()
    assert await edge.events("grant.redeemed") == []
    answer = await edge.decider.decide(token, ask)
    assert (answer.verdict, answer.replay) == ("permit", None)


async def test_who_waits_for_a_person_waits_on_under_a_lock_on_something_else(edge: Edge) -> None:
    from watchkeeper.decide.held.holding import decide_and_hold
    from watchkeeper.kill.model import LockTarget, NewLock
    from watchkeeper.wire.decisions import Ask

    token = await edge.open_run()
    ask = Ask(name=REFUND, arguments={"charge_id": "ch_1", "amount_usd": 270})
    told: list[float] = []
    call = asyncio.create_task(
        decide_and_hold(
            edge.decider, token, ask, performer="agent", hold_seconds=300, gone=asyncio.Event(),
            on_hold=lambda answer, waited: told.append(waited),
        )
    )  # fmt: skip
    await edge.pending()
    await waits(edge, 1)
    signs = len(told)
    other = LockTarget("agent", "porter")
    await edge.kill.lock(NewLock(other, mode="stop", reason="odd", by="person/owner"))

    async def waits_on() -> bool:
        return call.done() or (len(told) > signs and edge.decider.waiting.callers == 1)

    await eventually_async(waits_on, "it has looked, and waits")
    assert not call.done()
    mine = LockTarget("agent", "clerk")
    lock, _ = await edge.kill.lock(NewLock(mine, mode="pause", reason="odd", by="person/owner"))
    answer = await call
    assert answer is not None
    assert (answer.verdict, answer.rule) == ("deny", f"lock/{lock.lock}")


async def test_a_legacy_client_that_cancels_while_it_runs_gets_it_later(
    edge: Edge, books: Upstream
) -> None:
    await edge.apply(SLOW, agent_document(tools=["slow"], hold_seconds=0))
    token, label = await edge.open_run(), "cancelled"

    async def runs() -> bool:
        return times_run(books, label=label) == 1

    async def ended() -> bool:
        return len(await edge.events("outcome.recorded")) == 1

    async with edge.mcp(token, "legacy") as client:
        call = asyncio.create_task(client.call_tool("books.slow", {"label": label}))
        await eventually_async(runs, "the upstream runs it")
        await give_up(call)
        await client.list_tools()  # what it has sent before this has arrived
        books.tell(label, "done")
        await eventually_async(ended, "it ends all the same")
        result = await client.call_tool("books.slow", {"label": label})
    assert text_of(result) == "done"
    assert times_run(books, label=label) == 1


async def test_a_client_that_says_it_waits_no_longer_withdraws_nothing(
    edge: Edge, books: Upstream
) -> None:
    """`notifications/cancelled` ends the waiting; only cancelling a task takes the request back."""
    await edge.apply(agent_document(hold_seconds=3600))
    token = await edge.open_run()
    arguments = {"charge_id": "ch_1", "amount_usd": next(_amounts) / 100}
    async with edge.mcp(token, "legacy") as client:
        call = asyncio.create_task(client.call_tool(REFUND, arguments))
        ((request, _),) = await edge.pending()
        await waits(edge, 1)
        await give_up(call)
        await waits(edge, 0)
        assert [name for name, _ in await edge.pending()] == [request]
        await edge.vote()
        assert times_run(books, **arguments) == 0
        again = await client.call_tool(REFUND, arguments)
    assert "re_" in text_of(again)
    assert times_run(books, **arguments) == 1
    assert await edge.events("request.cancelled") == []
