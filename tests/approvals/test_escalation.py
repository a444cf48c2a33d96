"""Levels, rounds and "I am on it", on stores of both kinds."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import update

from tests.approvals.ground import OPS, open_one, read, types, vote
from tests.approvals.ladder import FULL, Watch, acknowledge, opened, row, run, told
from watchkeeper.approvals import service
from watchkeeper.approvals.tables import requests
from watchkeeper.core.clock import MICROSECONDS, RehearsalClock
from watchkeeper.core.errors import Conflict, Forbidden
from watchkeeper.oncall.model import Level
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction


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


async def test_half_of_the_time_left_stays_for_others(store: Store) -> None:
    watch = Watch(**FULL)
    request = await opened(store, watch, sla_seconds=61)
    now = await row(store, request)
    assert await acknowledge(store, request) == now.created_at + 30 * MICROSECONDS


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


async def test_open_one_still_needs_no_coverage(store: Store) -> None:
    assert (await read(store, await open_one(store))).level == 1
