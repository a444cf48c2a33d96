"""People who come and go while requests wait, alarms, and the auditor."""

from __future__ import annotations

import json

from sqlalchemy import delete, select, update

from tests.approvals.ground import timer_refs, types, vote
from tests.approvals.ladder import FULL, Watch, acknowledge, opened, row, run, told
from watchkeeper.approvals.auditing import Audit, find_faults, repair
from watchkeeper.approvals.coverage import find_uncovered
from watchkeeper.approvals.rows import TIMER
from watchkeeper.approvals.shifts import MOST_TOLD
from watchkeeper.core.clock import MICROSECONDS, RehearsalClock
from watchkeeper.store.journal import events
from watchkeeper.store.store import Store
from watchkeeper.store.timers import timers
from watchkeeper.store.transaction import Transaction


async def test_nobody_at_all_is_an_alarm_and_denied_in_the_end(
    store: Store, clock: RehearsalClock
) -> None:
    watch = Watch()
    request = await opened(store, watch)
    (alarm,) = await told(store, request, "request.no_coverage")
    assert alarm["roles"] == ["ops", "lead", "head"]
    assert alarm["channels"] == ["pager"]
    assert "NOBODY" in alarm["text"]
    clock.advance(1000)
    await run(store, watch)
    assert (await row(store, request)).state == "expired"
    assert await timer_refs(store) == []


async def test_without_skipping_levels_have_their_time_and_the_alarm_is_raised(
    store: Store, clock: RehearsalClock
) -> None:
    watch = Watch()
    request = await opened(store, watch, skip_if_empty=False)
    assert (await row(store, request)).level == 1
    clock.advance(60)
    await run(store, watch)
    assert (await row(store, request)).role == "lead"
    assert (await types(store, request)).count("request.no_coverage") == 2


async def test_whoever_comes_on_call_is_told_of_what_waits(
    store: Store, clock: RehearsalClock
) -> None:
    watch = Watch(**FULL)
    first = await opened(store, watch, remind_every_seconds=None, run="run_a")
    second = await opened(store, watch, run="run_b", on_behalf_of="person/zoe")
    watch.held["ops"] = ("ada", "zoe")
    watch.held["lead"] = ("ida",)
    clock.advance(30)
    await run(store, watch)
    (event,) = await told(store, first, "request.rerouted")
    assert (event["role"], event["people"], event["waiting"]) == ("ops", ["zoe"], 2)
    assert await told(store, second, "request.rerouted") == []
    clock.advance(600)
    await run(store, watch)
    assert len(await told(store, first, "request.rerouted")) == 1


async def test_a_shift_that_begins_is_looked_at_when_it_begins(
    store: Store, clock: RehearsalClock
) -> None:
    watch = Watch()
    watch.change = clock.now() + 7 * MICROSECONDS
    request = await opened(store, watch)
    clock.advance(7)
    watch.held["lead"] = ("bob",)
    watch.change = None
    await run(store, watch)
    (event,) = await told(store, request, "request.rerouted")
    assert (event["role"], event["people"]) == ("lead", ["bob"])


async def test_of_many_that_wait_the_first_due_say_who_came(
    store: Store, clock: RehearsalClock
) -> None:
    watch = Watch(**FULL)
    made = [
        await opened(store, watch, run=f"run_{n}", sla_seconds=1000 + n)
        for n in range(MOST_TOLD + 2)
    ]
    watch.held["ops"] = ("zoe",)
    clock.advance(30)
    await run(store, watch)
    told_of = [request for request in made if await told(store, request, "request.rerouted")]
    assert told_of == made[:MOST_TOLD]
    (event,) = await told(store, made[0], "request.rerouted")
    assert event["waiting"] == MOST_TOLD + 2


async def test_nothing_is_looked_for_while_nothing_waits(
    store: Store, clock: RehearsalClock
) -> None:
    watch = Watch(**FULL)
    request = await opened(store, watch)
    await vote(store, request, verdict="reject")
    clock.advance(30)
    await run(store, watch)
    left = await store.read(lambda tx: list(tx.connection.execute(select(timers.c.kind)).scalars()))
    assert left == []


async def test_the_auditor_finds_nothing_where_all_is_well(
    store: Store, clock: RehearsalClock
) -> None:
    watch = Watch(**FULL)
    approved = await opened(store, watch, run="run_2")
    await vote(store, approved)
    await acknowledge(store, await opened(store, watch))
    assert (await store.scan(find_faults)).passed
    clock.advance(59)
    assert (await store.scan(find_faults)).passed


async def test_the_auditor_sets_timers_that_lack_and_names_those_that_are_late(
    store: Store, clock: RehearsalClock
) -> None:
    watch = Watch(**FULL)
    lost = await opened(store, watch, run="run_lost")
    moved = await opened(store, watch, run="run_moved")
    unused = await opened(store, watch, run="run_unused", grant_seconds=600)
    await vote(store, unused)
    fine = await opened(store, watch, run="run_fine")
    timer = timers.c.ref

    def spoil(tx: Transaction) -> None:
        tx.silent("the test spoils it")
        gone = delete(timers).where(timer.in_([lost, unused]), timers.c.kind == TIMER)
        tx.connection.execute(gone)
        far = update(timers).where(timer == moved)
        tx.connection.execute(far.values(due_at=clock.now() + 10**12))

    await store.write(spoil)
    found = await store.scan(find_faults)
    assert set(found.wrong) == {lost, moved, unused}
    assert await store.write(lambda tx: repair(tx, found)) == found
    assert await store.write(lambda tx: repair(tx, found)) == Audit()
    assert (await store.scan(find_faults)).passed
    clock.advance(121)
    assert set((await store.scan(find_faults)).late) == {lost, moved, fine}
    await run(store, watch)
    assert (await store.scan(find_faults)).passed
    query = select(events.c.body).where(events.c.type == "approvals.audited")
    (body,) = await store.read(lambda tx: list(tx.connection.execute(query).scalars()))
    assert json.loads(body)["wrong"] == 3


async def test_too_few_for_the_quorum_is_an_alarm_too(store: Store) -> None:
    watch = Watch(ops=("ada",), lead=("ada",), head=(), safety=("sam",))
    pair = await opened(store, watch, quorum=2)
    (alarm,) = await told(store, pair, "request.no_coverage")
    assert alarm["roles"] == ["ops", "lead", "head"]
    assert "TOO FEW" in alarm["text"]
    groups = (("ops", 1), ("safety", 2))
    mixed = await opened(store, watch, run="run_2", groups=groups)
    (alarm,) = await told(store, mixed, "request.no_coverage")
    assert alarm["roles"] == ["safety"]
    watch.held["safety"] = ("sam", "tom")
    fine = await opened(store, watch, run="run_3", groups=groups)
    assert await told(store, fine, "request.no_coverage") == []
    found = await store.read(lambda tx: find_uncovered(tx, watch))
    assert [(one.request, one.roles) for one in found] == [(pair, ("ops", "lead", "head"))]


async def test_when_the_last_shift_ends_while_it_waits_it_is_an_alarm(
    store: Store, clock: RehearsalClock
) -> None:
    watch = Watch(ops=("ada",), lead=("bob",))
    request = await opened(store, watch)
    watch.held["ops"] = ()
    clock.advance(30)
    await run(store, watch)
    assert await told(store, request, "request.no_coverage") == []
    clock.advance(30)
    await run(store, watch)
    watch.held["lead"] = ()
    clock.advance(30)
    await run(store, watch)
    (alarm,) = await told(store, request, "request.no_coverage")
    assert alarm["level"] == 2
    watch.held["lead"] = ("bob",)
    clock.advance(30)
    await run(store, watch)
    assert len(await told(store, request, "request.no_coverage")) == 1
    (event,) = await told(store, request, "request.rerouted")
    assert event["people"] == ["bob"]
