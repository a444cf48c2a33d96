from __future__ import annotations

import pytest

from tests.budgets.ground import (
    CAPS,
    HOLD_SECONDS,
    budget,
    cap,
    figures,
    hold_states,
    pass_time,
    reserve,
    settle,
    types,
    void,
)
from watchkeeper.budgets import service
from watchkeeper.budgets.model import Held, Refused
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Conflict, Invalid, NotFound
from watchkeeper.store.store import Store

RUN, AGENT, TEAM = "run/run_1/spend", "agent/bot/hour/spend", "team/ops/day/spend"


async def test_every_scope_holds_and_then_posts_what_was_used(store: Store) -> None:
    held = await reserve(store, "d1", {"spend": 100, "input_tokens": 30, "tool_calls": 1})
    assert isinstance(held, Held)
    assert [account.scope for account in held.accounts] == ["agent/bot", "run/run_1", "team/ops"]
    for name in (RUN, AGENT, TEAM):
        assert await figures(store, name) == (0, 100)
    assert await store.read(lambda tx: service.live_spend(tx, ["run_1", "run_2"])) == 100
    ended = await settle(store, "d1", {"spend": 70, "input_tokens": 20})
    assert ended is not None
    assert (ended.state, ended.first, dict(ended.over)) == ("settled", True, {})
    for name in (RUN, AGENT, TEAM):
        assert await figures(store, name) == (70, 0)
    assert await figures(store, "run/run_1/tool_calls") == (1, 0)
    assert await figures(store, "team/ops/day/tokens") == (20, 0)
    assert await store.read(lambda tx: service.live_spend(tx, ["run_1"])) == 0


async def test_no_room_in_one_scope_holds_nothing_in_any(store: Store) -> None:
    for n in range(4):
        assert isinstance(await reserve(store, f"d{n}"), Held)
    await settle(store, "d0", {"spend": 100})
    refused = await reserve(store, "d9", {"spend": 101})
    assert isinstance(refused, Refused)
    assert (refused.budget_id, refused.measure, refused.used, refused.held) == (
        RUN, "spend", 100, 300,
    )  # fmt: skip
    assert (refused.cap, refused.asked, refused.resets_at) == (500, 101, None)
    assert refused.sentence == (
        "budget run/run_1/spend allows $0.0005 per run: $0.0001 used, $0.0003 held by calls "
        "in flight, $0.0001 left; this needs $0.000101"
    )
    assert refused.remedy == "have a person top up run/run_1/spend"
    for name in (RUN, AGENT, TEAM):
        assert await figures(store, name) == (100, 300)
    assert "d9" not in await hold_states(store)
    assert isinstance(await reserve(store, "d10", {"spend": 100}), Held)  # exactly full
    assert (await budget(store, RUN)).state == "exhausted"


async def test_exhausted_is_told_once_until_topped_up(store: Store, clock: RehearsalClock) -> None:
    caps = [cap("team/ops", "hour", "spend", 100)]
    for n in range(3):
        assert isinstance(await reserve(store, f"d{n}", {"spend": 101}, caps=caps), Refused)
    assert await types(store) == ["budget.exhausted"]
    row = await budget(store, "team/ops/hour/spend", caps)
    assert (row.state, row.refused, row.posted, row.held) == ("exhausted", 3, 0, 0)
    await store.write(
        lambda tx: service.top_up(
            tx, "team/ops/hour/spend", row.period_key, 1, reason="sale", actor="ada"
        )
    )
    assert isinstance(await reserve(store, "d4", {"spend": 101}, caps=caps), Held)
    row = await budget(store, "team/ops/hour/spend", caps)
    assert (row.cap, row.topped_up, row.state) == (100, 1, "exhausted")
    assert isinstance(await reserve(store, "d40", {"spend": 5}, caps=caps), Refused)
    assert (await types(store)).count("budget.exhausted") == 2  # told anew since the top-up
    clock.advance(3600)  # a top-up is for its period only
    assert isinstance(await reserve(store, "d5", {"spend": 101}, caps=caps), Refused)
    assert isinstance(await reserve(store, "d6", {"spend": 100}, caps=caps), Held)
    with pytest.raises(Conflict) as over:
        await store.write(
            lambda tx: service.top_up(
                tx, "team/ops/hour/spend", row.period_key, 1, reason="late", actor="ada"
            )
        )
    assert over.value.code == "period_over"


async def test_top_up_needs_a_budget_that_exists_or_stands(store: Store) -> None:
    async def top_up(name: str, amount: int = 50) -> None:
        await store.write(
            lambda tx: service.top_up(
                tx, name, None, amount, reason="r", actor="ada", standing=CAPS[2:]
            )
        )

    await top_up(TEAM)  # before anybody drew on it
    assert (await budget(store, TEAM)).topped_up == 50
    for unknown in ("run/run_1/spend", "team/ops/day/tool_calls", "nonsense"):
        with pytest.raises(NotFound):
            await top_up(unknown)
    for amount in (0, -5, 10**15 + 1):
        with pytest.raises(Invalid):
            await top_up(TEAM, amount)
    await reserve(store, "d0", {"tool_calls": 1})
    with pytest.raises(NotFound):  # nothing caps it so far
        await top_up(RUN)
    await reserve(store, "d1")
    await top_up(RUN)
    assert (await budget(store, RUN)).topped_up == 50


async def test_ending_a_hold_twice_returns_the_first_end(store: Store) -> None:
    await reserve(store, "d1")
    await reserve(store, "d2")
    await settle(store, "d1", {"spend": 10})
    again = await settle(store, "d1", {"spend": 90}, "failed")
    assert again is not None
    assert (again.first, again.posted["spend"]) == (False, 10)
    dropped = await void(store, "d2")
    assert dropped is not None
    assert (dropped.state, dropped.first) == ("voided", True)
    late = await settle(store, "d2", {"spend": 90})
    assert late is not None
    assert (late.state, late.first, late.posted["spend"]) == ("voided", False, 0)
    assert await figures(store, RUN) == (10, 0)
    assert await settle(store, "unknown", {"spend": 5}) is None
    assert await void(store, "unknown") is None


async def test_without_caps_nothing_is_held(store: Store) -> None:
    assert await reserve(store, "d1", caps=()) == Held("d1", ())
    assert await hold_states(store) == {}


async def test_more_than_reserved_is_posted_and_recorded_and_then_refuses(store: Store) -> None:
    await reserve(store, "d1", {"spend": 100})
    ended = await settle(store, "d1", {"spend": 650})
    assert ended is not None
    assert dict(ended.over) == {"spend": 550}
    assert await figures(store, RUN) == (650, 0)
    assert await types(store) == ["budget.overshot"]
    assert isinstance(await reserve(store, "d2", {"spend": 1}), Refused)
    # what it does not ask for does not stop it
    assert isinstance(await reserve(store, "d3", {"tool_calls": 1}), Held)


async def test_hold_nobody_settled_counts_as_used_when_it_expires(
    store: Store, clock: RehearsalClock
) -> None:
    await reserve(store, "d1")
    clock.advance(HOLD_SECONDS - 1)
    await reserve(store, "d2")
    await pass_time(store)
    assert await hold_states(store) == {"d1": "live", "d2": "live"}
    clock.advance(1)
    await pass_time(store)
    assert await hold_states(store) == {"d1": "expired", "d2": "live"}
    assert await figures(store, RUN) == (100, 100)
    assert await types(store) == ["hold.expired"]
    unknown = await settle(store, "d1", {"spend": 1}, "unknown")
    assert unknown is not None
    assert (unknown.state, unknown.posted["spend"]) == ("expired", 100)
    late = await settle(store, "d1", {"spend": 30})
    assert late is not None
    assert (late.state, late.first, late.posted["spend"]) == ("settled", True, 30)
    assert await figures(store, RUN) == (30, 100)
    again = await settle(store, "d1", {"spend": 1})
    assert again is not None
    assert (again.first, again.posted["spend"]) == (False, 30)
    clock.advance(86_400)
    await pass_time(store)
    assert "live" not in (await hold_states(store)).values()


async def test_many_holds_expire_in_bounded_units(store: Store, clock: RehearsalClock) -> None:
    caps = [cap("all", "day", "tool_calls", 10**6)]
    clock.advance(86_400 - clock.now() // 1_000_000 % 86_400)  # not across midnight

    def unit(tx):  # type: ignore[no-untyped-def]
        tx.silent("decisions are not what this is about")
        for n in range(450):
            service.reserve(
                tx, decision=f"d{n}", agent="bot", run="run_1", caps=caps,
                amounts={"tool_calls": 1}, expires_at=tx.now + 1_000_000, now=tx.now,
            )  # fmt: skip

    await store.write(unit)
    clock.advance(60)
    await pass_time(store)
    assert (await types(store)).count("hold.expired") == 450
    assert (await budget(store, "all/day/tool_calls", caps)).posted == 450


async def test_lowered_cap_holds_at_once_and_a_raised_one_too(store: Store) -> None:
    high, low = [cap("all", "day", "spend", 100)], [cap("all", "day", "spend", 40)]
    await reserve(store, "d1", {"spend": 50}, caps=high)
    assert isinstance(await reserve(store, "d2", {"spend": 1}, caps=low), Refused)
    assert isinstance(await reserve(store, "d3", {"spend": 50}, caps=high), Held)
    row = await budget(store, "all/day/spend", high)
    assert (row.cap, row.held) == (100, 100)
