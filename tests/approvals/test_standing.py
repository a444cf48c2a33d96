"""Standing approvals over a store: proposed, in force, counted down, ended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.approvals.ground import open_one, read, timer_refs, types
from tests.approvals.standing_ground import (
    AGENT,
    CENT,
    TOOL,
    cast,
    propose,
    row_of,
    stands,
    terms,
    use,
)
from tests.rig.sweeping import sweep
from watchkeeper.approvals.standing import service as standing
from watchkeeper.approvals.standing.reading import list_standing, read_standing
from watchkeeper.approvals.timers import HANDLERS
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Conflict, Forbidden, NotFound
from watchkeeper.store.store import Store

TIMERS = {**HANDLERS, **standing.HANDLERS}


async def state(store: Store, name: str) -> str:
    return (await store.read(lambda tx: read_standing(tx, name))).state


async def end(store: Store, name: str) -> None:
    await store.write(lambda tx: standing.end(tx, name, by="person/ada", why="over"))


async def test_it_stands_once_it_is_approved_and_its_request_is_done(store: Store) -> None:
    name = await propose(store)
    assert not await use(store, name)
    assert await state(store, name) == "proposed"
    row = await row_of(store, name)
    before = await read(store, row.request)
    assert (before.kind, before.standing, before.arguments["uses"]) == ("standing", name, 3)
    assert await cast(store, name) == "approved"
    shown = await store.read(lambda tx: read_standing(tx, name))
    assert (shown.state, shown.approved_by) == ("standing", ("person/ada",))
    assert shown.expires_at == shown.approved_at + 3600 * 1_000_000  # type: ignore[operator]
    after = await read(store, row.request)
    assert (after.state, after.grant_expires_at) == ("succeeded", None)
    assert row.request not in await timer_refs(store)
    assert await types(store, row.request) == [
        "request.created", "vote.cast", "request.approved",
        "standing.approved", "grant.redeemed", "request.succeeded",
    ]  # fmt: skip


async def test_nobody_approves_what_they_proposed(store: Store) -> None:
    name = await propose(store)
    with pytest.raises(Forbidden, match="asked for this"):
        await cast(store, name, "person/Paul")


@pytest.mark.parametrize("how", ["reject", "expire"])
async def test_what_nobody_approves_never_stands(
    store: Store, clock: RehearsalClock, how: str
) -> None:
    name = await propose(store)
    if how == "reject":
        await cast(store, name, verdict="reject")
    else:
        clock.advance(201)
        await sweep(store, TIMERS)
    assert await state(store, name) == "refused"
    assert not await use(store, name)
    with pytest.raises(Conflict, match="does not stand"):
        await end(store, name)


async def test_of_fifty_callers_at_once_as_many_as_granted_get_through(store: Store) -> None:
    name = await stands(store, uses=7, total_micros=100_000 * CENT)
    answers = await asyncio.gather(*(use(store, name) for _ in range(50)))
    assert answers.count(True) == 7
    row = await row_of(store, name)
    assert (row.uses, row.used_micros, row.state) == (7, 700 * CENT, "ended")
    assert row.ended_why == "all of its uses were made"


async def test_fifty_callers_at_once_never_spend_more_than_granted(store: Store) -> None:
    name = await stands(store, uses=1000, total_micros=2000 * CENT)
    answers = await asyncio.gather(*(use(store, name, 300 * CENT) for _ in range(50)))
    assert answers.count(True) == 6
    assert (await row_of(store, name)).used_micros == 1800 * CENT
    assert await use(store, name, 200 * CENT)
    assert not await use(store, name, 1)
    assert await use(store, name, 0)


async def test_one_call_never_moves_more_than_one_may(store: Store) -> None:
    name = await stands(store)
    assert not await use(store, name, 1000 * CENT + 1)
    assert await use(store, name, 1000 * CENT)


async def test_its_time_ends_it(store: Store, clock: RehearsalClock) -> None:
    name = await stands(store)
    clock.advance(3599)
    assert await use(store, name)
    clock.advance(1)
    assert not await use(store, name)
    assert await state(store, name) == "ended"
    await sweep(store, TIMERS)
    row = await row_of(store, name)
    assert (row.state, row.ended_by, row.ended_why) == ("ended", "plane", "its time was over")


async def test_ended_is_ended(store: Store) -> None:
    name = await stands(store)
    await end(store, name)
    assert not await use(store, name)
    with pytest.raises(Conflict, match="does not stand"):
        await end(store, name)
    with pytest.raises(NotFound):
        await end(store, "std_unknown")


async def test_a_proposal_taken_back_is_decided_no_more(store: Store) -> None:
    name = await propose(store)
    await end(store, name)
    assert await state(store, name) == "refused"
    with pytest.raises(Conflict, match="cancelled"):
        await cast(store, name)
    row = await row_of(store, name)
    assert (await read(store, row.request)).state == "cancelled"
    assert await timer_refs(store) == []


@pytest.mark.parametrize(
    "over", [{"agents": [AGENT]}, {"tools": [TOOL]}, {"everything": True}], ids=str
)
async def test_a_kill_ends_what_it_covers(store: Store, over: Any) -> None:
    mine, proposed = await stands(store), await propose(store)
    others = await stands(store, agent="clerk", tool="books.read")

    def kill(**what: Any) -> Any:
        def unit(tx: Any) -> int:
            tx.silent("there may be nothing to end")
            return standing.end_covered(tx, **what, by="lock/l", why="odd")

        return unit

    assert await store.write(kill()) == 0
    assert await store.write(kill(**over)) == (3 if "everything" in over else 2)
    assert await state(store, mine) == "ended"
    assert await state(store, proposed) == "refused"
    assert await use(store, others) is ("everything" not in over)


async def test_it_tells_who_waits_for_what_it_covers(store: Store) -> None:
    arguments = {"charge_id": "ch_1", "amount_usd": 5}
    covered = await open_one(store, arguments=arguments, amount_micros=500 * CENT)
    large = await open_one(
        store, arguments={"charge_id": "ch_1", "amount_usd": 11}, amount_micros=1100 * CENT
    )
    other = await open_one(store, arguments={"charge_id": "ch_2"}, amount_micros=CENT)
    await stands(store)
    told = [await types(store, request) for request in (covered, large, other)]
    assert [("request.covered" in one) for one in told] == [True, False, False]


async def test_lists_show_what_is_open_newest_first(store: Store) -> None:
    ended, open_one_, proposed = await stands(store), await stands(store), await propose(store)
    await end(store, ended)
    page = await store.read(list_standing)
    assert [row.standing for row in page.rows] == [proposed, open_one_]
    everything = await store.read(lambda tx: list_standing(tx, everything=True, limit=2))
    assert everything.next == open_one_
    rest = await store.read(lambda tx: list_standing(tx, everything=True, after=everything.next))
    assert [row.standing for row in rest.rows] == [ended]
    nobody = await store.read(lambda tx: list_standing(tx, agents=frozenset({"clerk"})))
    assert nobody.rows == ()


def test_the_digest_covers_every_term() -> None:
    plain = terms()
    changed = {
        "agent": "x", "agent_version": 4, "contract": "x", "tool": "x", "tool_digest": "x",
        "definition": "x", "pins": {"charge_id": "ch_2"}, "uses": 4, "seconds": 60,
        "each_micros": None, "total_micros": None, "reason": "x", "proposed_by": "person/x",
    }  # fmt: skip
    assert set(changed) == set(plain.__dataclass_fields__)
    digests = {terms(**{name: value}).digest for name, value in changed.items()}
    assert len(digests | {plain.digest}) == len(changed) + 1
