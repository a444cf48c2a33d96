"""What budgets hold for decisions: by every measure, and how that ends with the decision."""

from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest

from tests.decide.budgets.holds_ground import CALL, CHANGED, Ground, drawn_on, open_ground
from watchkeeper.decide.budgets.holds import NEVER_BEGUN
from watchkeeper.decide.live import HOLD_SECONDS
from watchkeeper.decide.records import NOBODY_REPORTED, find_decision
from watchkeeper.decide.runs.envelope import Envelopes, Under
from watchkeeper.identity.model import NewRun
from watchkeeper.wire.decisions import Answer, Ask, Outcome, Usage


@pytest.fixture
async def ground(database_url: str) -> AsyncIterator[Ground]:
    """A ground over a store of its own."""
    async with open_ground(database_url) as opened:
        yield opened


async def test_a_tool_call_counts_by_every_measure_that_is_capped(ground: Ground) -> None:
    answer = await ground.refund()
    assert answer.verdict == "permit"
    ground.clock.advance(4)
    await ground.settle(answer)
    for budget, posted in {
        "run/RUN/tool_calls": 1,
        "run/RUN/value": 20_000_000,
        "run/RUN/objects": 1,
        "run/RUN/messages": 1,
        "run/RUN/risk": 3,
        "agent/refund-assistant/day/wall_time": 4_000_000,
    }.items():
        assert await ground.figures(budget) == (posted, 0)


async def test_value_that_did_not_move_is_given_back(ground: Ground) -> None:
    first = await ground.refund(usd=90)
    refused = await ground.refund("ch_2", usd=20)
    assert refused.rule == f"budget/run/{ground.run}/value"
    assert "$90.00 held by calls in flight, $10.00 left; this needs $20.00" in refused.reason
    await ground.settle(first, "failed")
    assert (await ground.refund("ch_2", usd=20)).verdict == "permit"


async def test_the_same_call_again_is_a_retry(ground: Ground) -> None:
    for _ in range(2):
        await ground.settle(await ground.refund(usd=1))
    third = await ground.refund(usd=1)
    assert third.rule == f"budget/run/{ground.run}/retries"
    assert (await ground.refund(usd=2)).verdict == "permit"  # another call


async def test_different_objects_are_counted_once_each(ground: Ground) -> None:
    for charge, usd in (("ch_1", 1), ("ch_2", 1), ("ch_1", 2)):
        assert (await ground.refund(charge, usd)).verdict == "permit"
    refused = await ground.refund("ch_3", 1)
    assert refused.rule == f"budget/run/{ground.run}/objects"
    assert (await ground.refund("ch_2", 2)).verdict == "permit"


async def test_what_never_began_costs_nothing(ground: Ground) -> None:
    for charge in ("ch_1", "ch_2", "ch_3"):
        answer = await ground.refund(charge, 40)
        assert answer.verdict == "permit"
        failed = Outcome(status="failed", error="nothing was sent")
        await ground.decider.settle(answer.decision, failed, begun=False)
    assert await ground.figures("run/RUN/value") == (0, 0)
    assert await ground.figures("run/RUN/objects") == (0, 0)


async def test_what_a_tool_call_cost_counts_in_every_budget_of_it(ground: Ground) -> None:
    """Also in those that nothing but its cost draws on, and though it was reported late."""
    cost = Usage(input_tokens=10, output_tokens=5, cost_micros=700)
    free, dear, late = [await ground.refund(charge) for charge in ("ch_1", "ch_1", "ch_2")]
    assert {free.verdict, dear.verdict, late.verdict} == {"permit"}
    await ground.settle(free)
    assert await drawn_on(ground, free) == {"run", "day"}
    await ground.settle(dear, usage=cost)
    assert await drawn_on(ground, dear) == {"run", "day", "week"}
    await ground.pass_time(HOLD_SECONDS)
    said = Outcome(status="succeeded", usage=cost)
    await ground.decider.settle(late.decision, said, token=ground.token)
    for budget in ("run/RUN/spend", "person/ada/week/spend"):
        assert await ground.figures(budget) == (1400, 0)
    assert await ground.figures("run/RUN/value") == (60_000_000, 0)
    await ground.pass_time(0)
    # what was reported once is not counted again
    await ground.decider.settle(late.decision, said, token=ground.token)
    assert await ground.figures("person/ada/week/spend") == (1400, 0)
    _, other = await Envelopes(ground.decider).open(ground.credential, NewRun("more", "ada"))
    ground.token = other.token
    refused = await ground.call(Usage(input_tokens=1, cost_micros=700))
    assert refused.rule == "budget/person/ada/week/spend"


async def test_what_a_tool_call_cost_counts_where_nothing_else_is_capped(ground: Ground) -> None:
    await ground.put(
        CHANGED[: CHANGED.index("---\nbudget: {name: time")].replace(
            CHANGED[CHANGED.index("  budgets: {") : CHANGED.index("  tools:")], ""
        )
        + "---\nbudget: {name: all, scope: all, period: day, limits: {spend_usd: 1}}\n"
    )
    answer = await ground.refund()
    await ground.settle(answer, usage=Usage(cost_micros=700))
    assert await ground.figures("all/day/spend") == (700, 0)
    await ground.pass_time(0)


@pytest.mark.parametrize("seed", range(4))
async def test_all_that_is_reported_is_posted_wherever_it_is_capped(
    ground: Ground, seed: int
) -> None:
    """Tool and model calls in any order, reported at once or late, with a cost or without."""
    chance = Random(seed)
    wide = CHANGED.replace("max_cost_usd_per_run: 0.75", "max_cost_usd_per_run: 75")
    wide = wide.replace("max_steps: 12", "max_steps: 100").replace("max_risk_points: 90", "")
    wide = wide.replace("max_value_usd: 100, max_messages: 5,", "").replace("0.002", "20")
    more = "budget: {name: %s, scope: %s, period: day, limits: {%s: 10000}}"
    scopes = {
        "all/day/output_tokens": ("a", "all", "output_tokens"),
        "team/finance-ops/day/tokens": ("b", "team/finance-ops", "tokens"),
    }
    await ground.put("\n---\n".join([wide, *(more % scope for scope in scopes.values())]))
    spent = tokens = output = 0
    late: list[Answer] = []
    for number in range(12):
        answer = await (
            ground.call()
            if chance.random() < 0.4
            else ground.refund(f"ch_{number % 2}", 20 + number)
        )
        assert answer.verdict == "permit", answer.reason
        if chance.random() < 0.3:
            late.append(answer)
            continue
        used = Usage(**{name: chance.choice([0, 0, 7, 900]) for name in CALL.model_fields_set})
        await ground.settle(answer, chance.choice(["succeeded", "failed"]), usage=used)
        spent, output = spent + used.cost_micros, output + used.output_tokens
        tokens += used.input_tokens + used.output_tokens
    await ground.pass_time(HOLD_SECONDS)
    for answer in late:
        said = Outcome(status="succeeded", usage=CALL)
        await ground.decider.settle(answer.decision, said, token=ground.token)
        spent, output, tokens = spent + 900, output + 50, tokens + 150
    for budget in ("run/RUN/spend", "person/ada/week/spend"):
        assert await ground.figures(budget) == (spent, 0)
    assert await ground.figures("all/day/output_tokens") == (output, 0)
    assert await ground.figures("team/finance-ops/day/tokens") == (tokens, 0)
    await ground.pass_time(0)


async def test_what_a_tool_call_is_said_to_cost_needs_room(ground: Ground) -> None:
    ask = Ask(
        name="stripe.create_refund",
        arguments={"charge_id": "ch_1", "amount_usd": 20},
        estimate=Usage(cost_micros=2001),
    )
    answer = await ground.decider.decide(ground.token, ask)
    assert (answer.verdict, answer.rule) == ("deny", "budget/person/ada/week/spend")


async def test_an_expired_hold_ends_with_its_decision_and_a_late_report_corrects_both(
    ground: Ground,
) -> None:
    answer = await ground.call()
    await ground.pass_time(HOLD_SECONDS - 1)
    assert await ground.state(answer) == (None, None)
    await ground.pass_time(1)
    assert await ground.state(answer) == ("unknown", NOBODY_REPORTED)
    assert await ground.figures("run/RUN/spend") == (900, 0)
    outcome = Outcome(status="succeeded", usage=Usage(output_tokens=3, cost_micros=40))
    await ground.decider.settle(answer.decision, outcome, token=ground.token)
    assert await ground.state(answer) == ("succeeded", None)
    assert await ground.figures("run/RUN/spend") == (40, 0)
    await ground.pass_time(0)


async def test_an_agent_that_says_what_the_plane_says_is_not_asked_again(ground: Ground) -> None:
    answer = await ground.call()
    for cost in (10, 20):
        said = Outcome(status="unknown", error=NOBODY_REPORTED, usage=Usage(cost_micros=cost))
        await ground.decider.settle(answer.decision, said, token=ground.token)
    row = await ground.store.read(lambda tx: find_decision(tx, answer.decision))
    assert (row.outcome, row.cost_micros) == ("unknown", 10)
    assert row.error == f"it reports: {NOBODY_REPORTED}"


async def test_a_call_that_an_agent_says_needs_nothing_needs_room(ground: Ground) -> None:
    first = await ground.call(Usage())
    assert first.verdict == "permit"
    assert await ground.figures("run/RUN/spend") == (0, 3)  # at the prices of a token each way
    await ground.settle(first, usage=Usage(input_tokens=9, cost_micros=750_000))
    second = await ground.call(Usage())
    assert (second.verdict, second.rule.rpartition("/")[2]) == ("deny", "spend")


async def test_what_the_plane_permitted_itself_and_never_began_is_void(ground: Ground) -> None:
    idle = await ground.call(performer="plane")
    flown = await ground.call(performer="plane")
    with ground.decider.in_flight(flown.decision, lambda: None):
        pass
    await ground.pass_time(HOLD_SECONDS)
    assert await ground.state(idle) == ("failed", NEVER_BEGUN)
    assert await ground.state(flown) == ("unknown", NOBODY_REPORTED)
    assert await ground.figures("run/RUN/spend") == (900, 0)


async def test_what_is_under_way_goes_on_being_held(ground: Ground) -> None:
    answer = await ground.call(performer="plane")
    with ground.decider.in_flight(answer.decision, lambda: None):
        for _ in range(3):
            await ground.pass_time(HOLD_SECONDS)
        assert await ground.figures("run/RUN/spend") == (0, 900)
    await ground.settle(answer, usage=Usage(cost_micros=100))
    assert await ground.figures("run/RUN/spend") == (100, 0)


async def test_another_try_is_held_or_not_made(ground: Ground) -> None:
    answer = await ground.call(performer="plane")
    again = CALL.model_copy(update={"retries": 1})
    assert await ground.decider.extend(answer.decision, again)
    assert await ground.figures("run/RUN/spend") == (0, 1800)
    assert await ground.figures("run/RUN/retries") == (0, 1)
    only_a_try = Usage(retries=1)
    assert not await ground.decider.extend(answer.decision, only_a_try)  # max_retries: 1
    assert not await ground.decider.extend(answer.decision, Usage(cost_micros=201))  # the person's
    assert await ground.figures("run/RUN/spend") == (0, 1800)
    await ground.settle(answer, usage=Usage(cost_micros=700, retries=1))
    assert await ground.figures("run/RUN/spend") == (700, 0)
    assert await ground.figures("run/RUN/retries") == (1, 0)
    assert not await ground.decider.extend(answer.decision, CALL)  # it has ended


async def test_a_call_gets_what_time_is_left_where_it_can_be_ended_then(ground: Ground) -> None:
    wall = "agent/refund-assistant/day/wall_time"
    await ground.settle(await ground.refund(), "failed")
    slow = await ground.refund("ch_1", 2)
    ground.clock.advance(9_985)
    await ground.settle(slow)
    assert await ground.figures(wall) == (9_985_000_000, 0)
    ground.token = (await Envelopes(ground.decider).renew(ground.credential, ground.run))[1].token
    assert (await ground.refund("ch_1", 3)).rule == f"budget/{wall}"
    ask = Ask(
        name="stripe.create_refund",
        arguments={"charge_id": "ch_1", "amount_usd": 3},
        fulfils=("max_seconds",),
    )
    shortened = await ground.decider.decide(ground.token, ask, performer="plane")
    assert [(one.kind, one.max_seconds) for one in shortened.obligations] == [("max_seconds", 15)]
    assert await ground.figures(wall) == (9_985_000_000, 15_000_000)
    ground.clock.advance(15.2)  # until it is on record that it was cut off
    await ground.settle(shortened, "unknown")
    assert await ground.figures(wall) == (10_000_000_000, 0)
    other = ask.model_copy(update={"arguments": {"charge_id": "ch_1", "amount_usd": 4}})
    assert (await ground.decider.decide(ground.token, other)).verdict == "deny"


async def test_a_person_has_one_budget_whichever_run_is_for_them(ground: Ground) -> None:
    await ground.call()
    await ground.call()
    _, other = await Envelopes(ground.decider).open(ground.credential, NewRun("more", "ada"))
    ground.token = other.token
    refused = await ground.call()
    assert refused.rule == "budget/person/ada/week/spend"
    assert "2026-W" not in refused.rule
    _, other = await Envelopes(ground.decider).open(ground.credential, NewRun("more", "bob"))
    ground.token = other.token
    assert (await ground.call()).verdict == "permit"


async def test_a_child_gets_a_part_of_every_measure_and_gives_the_rest_back(
    ground: Ground,
) -> None:
    wanted: Any = {"value": 30_000_000, "risk": 10, "objects": 1, "messages": 2, "retries": 0}
    under = Under(ground.token, wanted)
    envelopes = Envelopes(ground.decider)
    _, child = await envelopes.open(ground.credential, NewRun("part"), under)
    assert await ground.figures("run/RUN/value") == (0, 30_000_000)
    assert await ground.figures("run/RUN/objects") == (0, 1)
    mine, ground.token = ground.token, child.token
    assert (await ground.refund("ch_1", 31)).rule == f"budget/run/{child.run}/value"
    await ground.settle(await ground.refund("ch_1", 25))
    assert (await ground.refund("ch_2", 1)).rule == f"budget/run/{child.run}/objects"
    await envelopes.close(child.token, child.run, "succeeded", None)
    ground.token = mine
    assert await ground.figures("run/RUN/value") == (25_000_000, 0)
    assert await ground.figures("run/RUN/objects") == (1, 0)
    assert await ground.figures("run/RUN/risk") == (3, 0)
    assert (await ground.refund("ch_9", 76)).rule == f"budget/run/{ground.run}/value"
    await ground.pass_time(0)
