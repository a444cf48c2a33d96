"""Levels, rounds, "I am on it", people who come on call: on stores of both kinds."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from tests.approvals.ground import OPS, open_one, read, timer_refs, types, vote, wanted
from tests.rig.sweeping import sweep
from watchkeeper.approvals import service
from watchkeeper.approvals.auditing import Audit, find_faults, repair
from watchkeeper.approvals.coverage import find_uncovered
from watchkeeper.approvals.rows import TIMER
from watchkeeper.approvals.shifts import MOST_TOLD
from watchkeeper.approvals.tables import requests
from watchkeeper.approvals.timers import handlers
from watchkeeper.core.clock import MICROSECONDS, RehearsalClock
from watchkeeper.core.errors import Conflict, Forbidden
from watchkeeper.oncall.model import Holders, Level
from watchkeeper.store.journal import events
from watchkeeper.store.store import Store
from watchkeeper.store.timers import timers
from watchkeeper.store.transaction import Transaction

LADDER: dict[str, Any] = {
    "levels": (Level("ops"), Level("lead", 60, "pager"), Level("head", 120)),
    "remind_every_seconds": None,
    "sla_seconds": 1000,
    "skip_if_empty": True,
    "acknowledge_seconds": 100,
}


class Watch:
    """Coverage that the test writes down: who holds which role now."""

    def __init__(self, **held: tuple[str, ...]) -> None:
        self.held = held
        self.change: int | None = None

    def holders(self, tx: Transaction, role: str, at: int) -> Holders:
        return Holders(self.held.get(role, ()))

    def next_change(self, tx: Transaction, at: int) -> int | None:
        return self.change


FULL = {"ops": ("ada",), "lead": ("bob",), "head": ("eve",)}


async def opened(store: Store, watch: Watch, **changes: Any) -> str:
    new = wanted(**{**LADDER, **changes})
    return await store.write(lambda tx: service.open_request(tx, new, watch))


async def run(store: Store, watch: Watch) -> int:
    return await sweep(store, handlers(watch))


async def acknowledge(store: Store, request: str, person: str = "ada", **changes: Any) -> int:
    values: dict[str, Any] = {"roles": OPS, **changes}
    return await store.write(lambda tx: service.acknowledge(tx, request, person=person, **values))


async def told(store: Store, request: str, type_: str) -> list[dict[str, Any]]:
    """The bodies of a request's events of one type."""
    query = select(events.c.body).where(events.c.request == request, events.c.type == type_)
    rows = await store.read(
        lambda tx: list(tx.connection.execute(query.order_by(events.c.sequence)).scalars())
    )
    return [json.loads(body) for body in rows]


async def row(store: Store, request: str) -> Any:
    query = select(requests).where(requests.c.request == request)
    return await store.read(lambda tx: tx.connection.execute(query).one())


async def test_each_step_says_who_was_asked_then(store: Store, clock: RehearsalClock) -> None:
    watch = Watch(**FULL)
    request = await opened(store, watch)
    clock.advance(60)
    watch.held["lead"] = ("bob", "cid")
    await run(store, watch)
    (created,) = await told(store, request, "request.created")
    (raised,) = await told(store, request, "request.escalated")
    assert (created["role"], created["people"], created["level"]) == ("ops", ["ada"], 1)
    assert (raised["role"], raised["people"], raised["level"]) == ("lead", ["bob", "cid"], 2)
    assert (raised["round"], raised["channels"]) == (1, ["pager"])
    assert "bob, cid" in raised["text"]


async def test_a_level_that_nobody_holds_is_passed_over_at_once(
    store: Store, clock: RehearsalClock
) -> None:
    watch = Watch(lead=("bob",), head=("eve",))
    request = await opened(store, watch)
    (created,) = await told(store, request, "request.created")
    assert (created["level"], created["role"], created["passed"]) == (2, "lead", ["ops"])
    assert created["channels"] == ["pager"]
    # whoever comes on call for a level that was passed over was as good as asked
    assert await vote(store, request, roles=OPS) == "approved"


async def test_who_may_not_decide_does_not_hold_a_level(store: Store) -> None:
    watch = Watch(**{**FULL, "ops": ("carol",)})
    request = await opened(store, watch, on_behalf_of="person/carol")
    assert (await row(store, request)).role == "lead"


async def test_where_nobody_is_left_to_go_on_to_it_stays_with_who_was_asked(
    store: Store, clock: RehearsalClock
) -> None:
    watch = Watch(ops=("ada",))
    request = await opened(store, watch)
    clock.advance(60)
    await run(store, watch)
    now = await row(store, request)
    assert (now.role, now.level) == ("ops", 3)
    (raised,) = await told(store, request, "request.escalated")
    assert (raised["passed"], raised["channels"]) == (["lead", "head"], ["pager"])
    assert raised["people"] == ["ada"]
    assert "request.no_coverage" not in await types(store, request)


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


async def test_rounds_begin_again_and_end(store: Store, clock: RehearsalClock) -> None:
    watch = Watch(**FULL)
    request = await opened(store, watch, repeat=1, repeat_after_seconds=30)
    clock.advance(500)
    await run(store, watch)
    told_levels = [
        (body["round"], body["level"], body["role"])
        for type_ in ("request.escalated", "request.repeated")
        for body in await told(store, request, type_)
    ]
    assert sorted(told_levels) == [(1, 2, "lead"), (1, 3, "head"), (2, 1, "ops"), (2, 2, "lead"),
                                   (2, 3, "head")]  # fmt: skip
    now = await row(store, request)
    assert now.next_at == now.decide_by


async def test_in_the_second_round_everybody_asked_before_may_decide(
    store: Store, clock: RehearsalClock
) -> None:
    watch = Watch(**FULL)
    request = await opened(store, watch, repeat=1)
    clock.advance(180)
    await run(store, watch)
    now = await row(store, request)
    assert (now.round, now.level, now.role) == (2, 1, "ops")
    assert await vote(store, request, "eve", roles=frozenset({"head"})) == "approved"


async def test_a_key_from_an_earlier_round_changes_nothing(
    store: Store, clock: RehearsalClock
) -> None:
    watch = Watch(**FULL)
    request = await opened(store, watch, repeat=1)
    clock.advance(180)
    await run(store, watch)
    with pytest.raises(Conflict, match="round 2"):
        await store.write(lambda tx: service.escalate(tx, request, level=1, person="ada"))
    assert await store.write(
        lambda tx: service.escalate(tx, request, level=1, round=2, person="ada")
    ) == 2  # fmt: skip


async def test_i_am_on_it_holds_everything_up_and_then_it_goes_on_where_it_was(
    store: Store, clock: RehearsalClock
) -> None:
    watch = Watch(**FULL)
    request = await opened(store, watch, remind_every_seconds=45)
    clock.advance(50)
    await run(store, watch)
    until = await acknowledge(store, request)
    assert until == clock.now() + 100 * MICROSECONDS
    clock.advance(99)
    await run(store, watch)
    assert await types(store, request) == [
        "request.created", "request.reminded", "request.acknowledged",
    ]  # fmt: skip
    clock.advance(1)
    await run(store, watch)
    (resumed,) = await told(store, request, "request.resumed")
    assert (resumed["level"], resumed["role"], resumed["people"]) == (1, "ops", ["ada"])
    assert (await row(store, request)).acknowledged_until is None
    clock.advance(9)
    assert await run(store, watch) == 0
    clock.advance(1)
    await run(store, watch)
    assert (await row(store, request)).level == 2


async def test_i_am_on_it_never_reaches_past_the_deadline_nor_shortens_another(
    store: Store, clock: RehearsalClock
) -> None:
    watch = Watch(**FULL)
    request = await opened(store, watch)
    until = await acknowledge(store, request, seconds=86_400)
    assert until == (await row(store, request)).decide_by
    assert await acknowledge(store, request, "eve", seconds=5) == until
    clock.advance(1000)
    await run(store, watch)
    assert (await row(store, request)).state == "expired"
    assert (await types(store, request)).count("request.resumed") == 0


async def test_the_whole_time_that_somebody_was_on_it_does_not_count(
    store: Store, clock: RehearsalClock
) -> None:
    watch = Watch(**FULL)
    request = await opened(store, watch)
    clock.advance(10)
    await acknowledge(store, request, seconds=40)
    clock.advance(30)
    await acknowledge(store, request, "eve", seconds=60)
    clock.advance(60)
    await run(store, watch)
    now = await row(store, request)
    # 90 s of pause: the level of 60 s has 50 s left
    assert now.next_at == now.created_at + 150 * MICROSECONDS
    assert "eve was on it" in (await told(store, request, "request.resumed"))[0]["text"]


async def test_escalating_by_hand_beats_i_am_on_it(store: Store, clock: RehearsalClock) -> None:
    watch = Watch(**FULL)
    request = await opened(store, watch)
    clock.advance(10)
    await acknowledge(store, request)
    clock.advance(20)
    await store.write(
        lambda tx: service.escalate(tx, request, level=1, person="ada", coverage=watch)
    )
    now = await row(store, request)
    assert (now.level, now.acknowledged_until) == (2, None)
    # the pause of 20 s counts for the levels to come
    assert now.next_at == now.created_at + 140 * MICROSECONDS


async def test_only_who_may_decide_or_was_asked_is_waited_for(
    store: Store, clock: RehearsalClock
) -> None:
    watch = Watch(**FULL)
    request = await opened(store, watch)
    for person, roles, code in [
        ("zoe", frozenset({"sales"}), "role_missing"),
        ("bob", frozenset({"lead"}), "not_asked_yet"),
        ("carol", OPS, "separation_of_duties"),
    ]:
        with pytest.raises(Forbidden) as refused:
            await acknowledge(store, request, person, roles=roles)
        assert refused.value.code == code
    # ada's shift has ended meanwhile
    await acknowledge(store, request, "person/ada", roles=frozenset())
    (event,) = await told(store, request, "request.acknowledged")
    assert event["on_call"] is False
    await vote(store, request)
    with pytest.raises(Conflict, match="approved"):
        await acknowledge(store, request, "ada")


async def test_on_it_and_escalate_at_once_leave_one_order_of_events(
    store: Store, clock: RehearsalClock
) -> None:
    watch = Watch(**FULL)
    made = [await opened(store, watch, run=f"run_{n}") for n in range(10)]
    clock.advance(60)
    both = [
        work
        for one in made
        for work in (acknowledge(store, one, coverage=watch), run(store, watch))
    ]
    await asyncio.gather(*both)
    for request in made:
        assert sorted(await types(store, request)) == [
            "request.acknowledged", "request.created", "request.escalated",
        ]  # fmt: skip
        now = await row(store, request)
        assert (now.level, now.next_at) == (2, now.acknowledged_until)


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


async def test_edits_of_the_policy_do_not_reach_what_runs(
    store: Store, clock: RehearsalClock
) -> None:
    """A request made before keeps its whole policy; so does one made by version 1."""
    watch = Watch(**FULL)
    old = await opened(store, watch, repeat=1)
    await opened(store, watch, run="run_2", levels=(Level("boss"),), repeat=0)
    version_1 = await opened(store, watch, run="run_1b")
    await store.write(lambda tx: forget_policy(tx, version_1))
    clock.advance(180)
    await run(store, watch)
    assert (await row(store, old)).round == 2
    now = await row(store, version_1)
    assert (now.level, now.role) == (3, "head")
    assert now.next_at == now.decide_by


def forget_policy(tx: Transaction, request: str) -> None:
    """Leave of a request what version 1 had."""
    tx.silent("the test makes an old row")
    tx.connection.execute(
        update(requests)
        .where(requests.c.request == request)
        .values(escalation=None, round=None, counts_from=None)
    )


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


async def test_open_one_still_needs_no_coverage(store: Store) -> None:
    assert (await read(store, await open_one(store))).level == 1


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
