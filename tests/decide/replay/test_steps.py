"""A run's steps over a store of each kind: in order, with what was known at each."""

from __future__ import annotations

import pytest

from tests.decide.replay.test_replays import Ground, ground
from tests.decide.replay.test_run_replay import call_model
from watchkeeper.budgets import history
from watchkeeper.budgets.periods import HOUR_US
from watchkeeper.core.errors import NotFound
from watchkeeper.decide.replay.steps import list_steps, read_step
from watchkeeper.traces.contents import Content, keep
from watchkeeper.wire.replays import RunSteps, StepDetail

__all__ = ["ground"]
DAILY = "budget: {name: daily, scope: team/finance-ops, period: day, limits: {spend_usd: 5}}"


async def steps(ground: Ground, **window: int) -> RunSteps:
    return await ground.store.read(lambda tx: list_steps(tx, ground.run, **window))


async def step(ground: Ground, at: str) -> StepDetail:
    catalogue = ground.view.now
    return await ground.store.read(lambda tx: read_step(tx, ground.run, at, catalogue))


async def test_steps_are_paged_in_order_with_what_was_spent_before_each(ground: Ground) -> None:
    for cost in (100, 200, 300):
        await call_model(ground, cost, tokens=10)
    assert await ground.refund(250) == "hold"
    whole = await steps(ground)
    assert [row.step for row in whole.rows] == [1, 2, 3, 4]
    assert [row.spent_before for row in whole.rows] == [0, 100, 300, 600]
    assert [row.tokens_before for row in whole.rows] == [0, 10, 20, 30]
    assert (whole.rows[3].verdict, whole.rows[3].outcome) == ("hold", None)
    assert whole.rows[3].request is not None
    first = await steps(ground, limit=3)
    rest = await steps(ground, after=first.next or 0, limit=3)
    assert (*first.rows, *rest.rows) == whole.rows
    assert rest.next is None


async def test_a_step_is_found_by_number_and_decision(ground: Ground) -> None:
    await call_model(ground, 100)
    await ground.refund(20)
    second = await step(ground, "2")
    assert second == await step(ground, second.decision)
    assert (second.steps, second.name) == (2, "stripe.create_refund")
    assert second.policies is not None
    assert second.contents[0].part == "input"
    for wrong in ("0", "3", "dec_nosuch"):
        with pytest.raises(NotFound):
            await step(ground, wrong)
    with pytest.raises(NotFound):
        await ground.store.read(lambda tx: list_steps(tx, "run_nosuch"))


async def test_budgets_stand_as_they_were_last_written_down_before_it(ground: Ground) -> None:
    await ground.applying.apply([("d.yaml", DAILY)], prune=False, actor="person/a")
    await call_model(ground, 1000)
    first = {one.budget for one in (await step(ground, "1")).budgets}
    assert "team/finance-ops/day/spend" not in first, "nobody had written that down"
    await ground.store.write(lambda tx: history.copy(tx, "balances", tx.now - 2 * HOUR_US))
    await call_model(ground, 500)
    second = await step(ground, "2")
    found = {one.budget: one for one in second.budgets}
    daily = found["team/finance-ops/day/spend"]
    assert (daily.used, daily.cap, daily.period) == (1000, 5_000_000, "day")
    assert daily.counted_at is not None
    assert daily.counted_at <= second.at
    own = found[f"run/{ground.run}/spend"]
    assert (own.used, own.cap, own.counted_at) == (1000, 750_000, None)


async def test_what_was_not_kept_is_named(ground: Ground) -> None:
    await call_model(ground, 100)
    decision = (await steps(ground)).rows[0].decision
    left = Content(decision, "output", ground.run, "a", 1, "json", None, "sha256:0", 9, "erased")
    await ground.store.write(lambda tx: keep(tx, [left]))
    assert "its output was not kept: erased" in (await step(ground, decision)).notes
