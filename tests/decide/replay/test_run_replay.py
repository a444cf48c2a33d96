"""One run decided again step by step: where it diverges, and what it would cost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update
from sqlalchemy import text as sql

from tests.decide.replay.test_replays import AMPLE, STRICTER, Ground, ground
from watchkeeper.budgets.filling import account_of
from watchkeeper.budgets.model import Cap
from watchkeeper.core.errors import NotFound
from watchkeeper.decide.erasing.sweep import WORDS
from watchkeeper.decide.replay.balances import Balances
from watchkeeper.decide.tables import decisions
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Ask, Outcome, Usage
from watchkeeper.wire.plane import File
from watchkeeper.wire.policy import StartReplay
from watchkeeper.wire.replays import ReplayedRun

__all__ = ["ground"]


async def again(ground: Ground, *texts: tuple[str, str], run: str = "") -> ReplayedRun:
    files = tuple(File(path=path, text=text) for path, text in texts)
    wanted = StartReplay(files=files, run=run or ground.run)
    started = await ground.replays.start(wanted, by="person/a")
    found = await ground.replays.read(started.replay, wait_seconds=30)
    assert found.state == "done", found.error
    assert found.of_run is not None
    return found.of_run


async def call_model(ground: Ground, cost: int, tokens: int = 1000) -> None:
    ask = Ask(name="small-fast", kind="model", estimate={"input_tokens": tokens})
    answer = await ground.decider.decide(ground.token, ask)
    assert answer.verdict == "permit", answer.reason
    usage = Usage(input_tokens=tokens, output_tokens=0, cost_micros=cost)
    await ground.decider.settle(answer.decision, Outcome(status="succeeded", usage=usage))


async def test_steps_come_in_order_and_the_first_that_differs_is_named(ground: Ground) -> None:
    for amount in (20, 60, 250, 30):
        await ground.refund(amount, f"ch_{amount}")
    same = await again(ground)
    assert [one.step for one in same.steps] == [1, 2, 3, 4]
    assert [one.before for one in same.steps] == ["permit", "permit", "hold", "permit"]
    assert (same.diverges_at, same.blocked, same.allowed) == (None, 0, 0)
    other = await again(ground, ("p.cedar", STRICTER))
    assert (other.diverges_at, other.blocked) == (2, 1)
    second = other.steps[1]
    assert (second.before, second.after, second.differs) == ("permit", "hold", True)
    assert second.before_rule != second.after_rule
    assert [one.supposed for one in other.steps] == [False, False, True, True]


async def test_another_contract_blocks_what_it_does_not_name(ground: Ground) -> None:
    await ground.refund(20)
    without = AMPLE.replace("      - name: stripe.create_refund\n", "", 1)
    found = await again(ground, ("w.yaml", without))
    (step,) = found.steps
    assert step.after == "deny"
    assert (step.after_rule or "").startswith("contract/refund-assistant")


async def test_a_smaller_budget_refuses_from_where_it_is_used_up(ground: Ground) -> None:
    for _ in range(4):
        await call_model(ground, 100_000)
    tighter = AMPLE.replace("max_cost_usd_per_run: 0.75", "max_cost_usd_per_run: 0.25")
    found = await again(ground, ("w.yaml", tighter))
    assert [one.after for one in found.steps] == ["permit", "permit", "deny", "deny"]
    assert (found.diverges_at, found.cost_before, found.cost_after) == (3, 400_000, 200_000)
    assert "budget/" in (found.steps[2].after_rule or "")
    assert (await again(ground)).diverges_at is None


async def test_a_larger_budget_takes_a_refusal_back_only_where_it_is_another(
    ground: Ground,
) -> None:
    less = AMPLE.replace("max_steps: 100000", "max_steps: 2")
    await ground.applying.apply([("w.yaml", less)], prune=False, actor="person/a")
    answers = [await ground.refund(20, f"ch_{n}") for n in range(3)]
    assert answers == ["permit", "permit", "deny"]
    kept = await again(ground)
    assert (kept.steps[2].how, kept.steps[2].after, kept.allowed) == ("decided", "deny", 0)
    more = await again(ground, ("w.yaml", AMPLE))
    assert (more.steps[2].after, more.allowed, more.steps[2].cost_after) == ("permit", 1, None)


async def test_a_dearer_model_is_priced(ground: Ground) -> None:
    await call_model(ground, 1000)
    found = await again(ground)
    assert (found.cost_before, found.cost_after) == (1000, 1000)


def erase_first(tx: Transaction) -> None:
    tx.silent("as erasing does")
    first = select(func.min(decisions.c.decision)).scalar_subquery()
    changed = update(decisions).where(decisions.c.decision == first)
    tx.connection.execute(changed.values(WORDS["decisions"]))


async def test_what_was_erased_is_said_to_be(ground: Ground) -> None:
    await ground.refund(20)
    await ground.refund(30, "ch_2")

    await ground.store.write(erase_first)
    found = await again(ground)
    first, second = found.steps
    assert (first.how, first.after, first.why) == ("skipped", None, "its arguments were erased")
    assert (second.how, second.after) == ("decided", "permit")


async def test_what_can_not_be_decided_again_counts_as_it_ran(ground: Ground) -> None:
    for _ in range(3):
        await call_model(ground, 100_000)
    await ground.store.write(erase_first)
    tighter = AMPLE.replace("max_cost_usd_per_run: 0.75", "max_cost_usd_per_run: 0.25")
    found = await again(ground, ("w.yaml", tighter))
    assert [one.after for one in found.steps] == [None, "permit", "deny"]
    assert (found.cost_before, found.cost_after) == (300_000, 200_000)


async def test_nothing_is_written_or_drawn_on(ground: Ground) -> None:
    await call_model(ground, 100_000)
    await ground.refund(20)

    def everything(tx: Transaction) -> dict[str, Any]:
        names = ("decisions", "runs", "budget_balances", "budget_holds", "requests", "events")
        return {
            name: [tuple(row) for row in tx.connection.execute(sql(f"SELECT * FROM {name}"))]
            for name in names
        }

    before = await ground.store.read(everything)
    await again(ground, ("p.cedar", STRICTER), ("w.yaml", AMPLE))
    assert await ground.store.read(everything) == before


async def test_a_run_that_is_not_there_is_not_replayed(ground: Ground) -> None:
    with pytest.raises(NotFound):
        await again(ground, run="run_nosuch")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 50), max_size=30), st.integers(0, 200))
def test_a_balance_of_a_replay_never_passes_its_cap(amounts: list[int], most: int) -> None:
    cap = Cap("agent/a", "day", "tool_calls", most)
    balances = Balances("run_1", {}, changed=False)
    posted = 0
    for amount in amounts:
        balances.begin({})
        refused = balances.find_room([cap], {"tool_calls": amount}, None, 1)
        assert (refused is None) == (posted + amount <= most)
        if refused is None:
            balances.post(None)
            posted += amount
        (level,) = balances.levels([cap], 1)
        assert level.posted == posted <= most


def test_room_is_needed_for_what_is_asked_and_used_up_is_what_it_came_to() -> None:
    cap = Cap("agent/a", "day", "spend", 100)
    balances = Balances("run_1", {}, changed=False)
    balances.begin({"spend": 20})
    assert balances.find_room([cap], {"spend": 101}, None, 1) is not None
    assert balances.find_room([cap], {"spend": 100}, None, 1) is None
    balances.post(30)
    assert balances.levels([cap], 1)[0].posted == 30
    balances.begin({"spend": 71})
    assert balances.find_room([cap], {"spend": 1}, None, 1) is not None


def test_an_object_counts_once_in_a_replay_too() -> None:
    cap = Cap("agent/a", "day", "objects", 1)
    balances = Balances("run_1", {}, changed=False)
    for touched, room in (("a/1", True), ("a/1", True), ("a/2", False)):
        balances.begin({})
        assert (balances.find_room([cap], {"objects": 1}, touched, 1) is None) is room
        if room:
            balances.post(None)


def test_what_was_posted_before_counts() -> None:
    cap = Cap("agent/a", "hour", "tool_calls", 10)
    account = account_of(cap, run="run_1", now=1)
    balances = Balances("run_1", {account: {"tool_calls": 10}}, changed=True)
    balances.begin({})
    refused = balances.find_room([cap], {"tool_calls": 1}, None, 1)
    assert refused is not None
    assert refused.budget == "agent/a/hour/tool_calls"
    assert balances.lifts(f"budget/{refused.budget}")
    assert not balances.lifts("rate/x")
