"""What runs cost: nearest-rank percentiles, and a drift where there is enough to say so."""

from __future__ import annotations

from collections.abc import AsyncIterator

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tests.decide.spending.ground import Ground, open_ground
from watchkeeper.decide.spending.run_costs import FEWEST, WeekCosts, compare, read_run_costs
from watchkeeper.identity.model import ReplayOf
from watchkeeper.wire.spending import RunCosts

WEEK = 7 * 86_400


@pytest.fixture
async def ground(database_url: str) -> AsyncIterator[Ground]:
    """Two agents at work, once on SQLite and once on PostgreSQL."""
    opened = await open_ground(database_url)
    yield opened
    await opened.store.close()


async def work(ground: Ground, agent: str, costs: list[int]) -> None:
    for cost in costs:
        await ground.begin(agent)
        await ground.act(agent, cost // 2)
        await ground.act(agent, cost - cost // 2)
        await ground.end(agent)


async def costs_now(ground: Ground, **more: object) -> RunCosts:
    until = ground.clock.now() + 1
    return await ground.store.scan(lambda tx: read_run_costs(tx, until=until, **more))  # type: ignore[arg-type]


async def test_percentiles_are_costs_that_occurred_and_drift_from_the_week_before(
    ground: Ground,
) -> None:
    await work(ground, "clerk", list(range(100, 100 + FEWEST)))
    await work(ground, "reader", [5, 9])
    ground.clock.advance(WEEK)
    await work(ground, "clerk", [200 + n for n in reversed(range(FEWEST + 1))])
    await ground.begin("clerk")
    await ground.act("clerk", 10**9)
    found = await costs_now(ground)
    (clerk,) = found.rows
    assert (clerk.agent, clerk.version, clerk.runs) == ("clerk", 1, FEWEST + 1)
    # 21 runs: places 11 and 20; 20 runs: place 19
    assert (clerk.p50_micros, clerk.p95_micros) == (210, 219)
    assert (clerk.before_runs, clerk.before_p95_micros) == (FEWEST, 118)
    assert clerk.drift_percent == pytest.approx(85.6)
    assert clerk.drifts
    assert found.fewest == FEWEST


async def test_replays_are_no_work_of_the_agent(ground: Ground) -> None:
    await work(ground, "clerk", [100])
    run, _ = ground.runs["clerk"]
    await ground.begin("clerk", replay=ReplayOf(run, "dec_1", "person/ada"))
    await ground.end("clerk")
    (row,) = (await costs_now(ground, agent="clerk")).rows
    assert (row.runs, row.p50_micros) == (1, 100)


async def test_of_few_runs_no_drift_is_said(ground: Ground) -> None:
    await work(ground, "reader", [5, 9])
    ground.clock.advance(WEEK)
    await work(ground, "reader", [500])
    (row,) = (await costs_now(ground)).rows
    assert (row.runs, row.p95_micros, row.before_p95_micros) == (1, 500, 9)
    assert (row.drift_percent, row.drifts) == (None, False)
    assert (await costs_now(ground, agents=["clerk"])).rows == ()
    assert (await costs_now(ground, agent="clerk")).rows == ()


@pytest.mark.parametrize(
    ("week", "before", "drift", "drifts"),
    [
        (110, 100, 10.0, False),
        (111, 100, 11.0, True),
        (90, 100, -10.0, False),
        (89, 100, -11.0, True),
        (5, 0, None, True),
        (0, 0, None, False),
    ],
)
def test_more_than_ten_percent_either_way_is_marked(
    week: int, before: int, drift: float | None, drifts: bool
) -> None:
    row = compare("a", 1, WeekCosts(FEWEST, 0, week), WeekCosts(FEWEST, 0, before))
    assert (row.drift_percent, row.drifts) == (drift, drifts)


@given(st.integers(0, FEWEST - 1), st.integers(0, 100))
def test_too_few_never_drift(few: int, cost: int) -> None:
    for pair in ((few, FEWEST), (FEWEST, few)):
        row = compare("a", 1, WeekCosts(pair[0], 0, cost), WeekCosts(pair[1], 0, 1))
        assert (row.drift_percent, row.drifts) == (None, False)
