"""What was spent adds up: to what outcomes said, and to what budgets posted."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import Phase, given, settings

from tests.decide.spending.ground import ALL_DAY, PROJECTS, TEAMS, Ground, open_ground
from tests.rig.stores import sqlite_url
from watchkeeper.budgets.reading import read_budget
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.recorded import Wanted, list_decisions
from watchkeeper.decide.spending.attribution import read_spending
from watchkeeper.decide.spending.dimensions import DIMENSIONS, is_named
from watchkeeper.decide.spending.sums import Scope
from watchkeeper.wire.decisions import Outcome, Usage
from watchkeeper.wire.spending import Spending, SpendingBy

HOUR = 3600 * MICROSECONDS


@pytest.fixture
async def ground(database_url: str) -> AsyncIterator[Ground]:
    """Two agents at work, once on SQLite and once on PostgreSQL."""
    opened = await open_ground(database_url)
    yield opened
    await opened.store.close()


async def spent(ground: Ground, by: SpendingBy = "agent", **more: object) -> Spending:
    now = ground.clock.now()
    scope = Scope(now - HOUR, now + 1, **more)  # type: ignore[arg-type]
    return await ground.store.scan(lambda tx: read_spending(tx, by, scope, limit=100))


def costs(found: Spending) -> dict[str, int]:
    return {row.name: row.cost_micros for row in found.rows}


ACTS = st.lists(
    st.tuples(
        st.sampled_from(sorted(TEAMS)),
        st.sampled_from(["model", "tool"]),
        st.integers(0, 10**9),
        st.sampled_from(["succeeded", "failed"]),
        st.sampled_from([None, "local", "other"]),
    ),
    max_size=12,
)


@settings(max_examples=12, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(acts=ACTS)
def test_every_dimension_adds_up_to_the_outcomes_and_to_the_budget(
    acts: list[tuple[str, str, int, str, str | None]],
) -> None:
    async def work(directory: Path) -> None:
        ground = await open_ground(sqlite_url(directory))
        try:
            for agent, kind, cost, status, provider in acts:
                ground.clock.advance(1)
                await ground.act(agent, cost, status, kind=kind, provider=provider)  # type: ignore[arg-type]
            whole = sum(act[2] for act in acts)
            for by in DIMENSIONS:
                found = await spent(ground, by)
                assert sum(costs(found).values()) == found.total.cost_micros == whole
                assert sum(row.calls for row in found.rows) == found.total.calls == len(acts)
            by_agent: Counter[str] = Counter()
            by_provider: Counter[str] = Counter()
            for agent, _, cost, _, provider in acts:
                by_agent[agent] += cost
                by_provider[provider or ""] += cost
            assert costs(await spent(ground, "agent")) == by_agent
            assert costs(await spent(ground, "provider")) == by_provider
            assert costs(await spent(ground, "team")) == {
                TEAMS[agent]: cost for agent, cost in by_agent.items()
            }
            if any(act[1] == "model" for act in acts):
                budget = await ground.store.read(lambda tx: read_budget(tx, ALL_DAY))
                assert budget.posted == whole
        finally:
            await ground.store.close()

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(work(Path(directory)))


async def test_names_are_of_what_did_it(ground: Ground) -> None:
    await ground.begin("clerk", "person/ada")
    await ground.act("clerk", 700, provider="local")
    await ground.act("reader", 200, status="failed", model="large-careful")
    await ground.act("reader", 100, kind="tool")
    assert costs(await spent(ground, "agent")) == {"clerk": 700, "reader": 300}
    assert costs(await spent(ground, "version")) == {"clerk@1": 700, "reader@1": 300}
    assert costs(await spent(ground, "model")) == {
        "small-fast": 700, "large-careful": 200, "": 100,
    }  # fmt: skip
    assert costs(await spent(ground, "tool")) == {"": 900, "books.echo": 100}
    assert costs(await spent(ground, "project")) == {PROJECTS["clerk"]: 700, "": 300}
    assert costs(await spent(ground, "person")) == {"person/ada": 700, "": 300}
    first = (await spent(ground)).rows[0]
    assert (first.name, first.calls, first.failed, first.share_percent) == ("clerk", 1, 0, 70.0)
    only = await spent(ground, "agent", named=(is_named("project", "-"),))
    assert costs(only) == {"reader": 300}
    assert only.total.failed == 1
    version = await spent(ground, "agent", named=(is_named("version", "clerk@1"),))
    assert costs(version) == {"clerk": 700}
    with pytest.raises(Invalid, match="is no version"):
        is_named("version", "clerk")


async def test_nothing_spent_divides_nothing(ground: Ground) -> None:
    empty = await spent(ground)
    assert (empty.rows, empty.total.calls, empty.total.share_percent) == ((), 0, 0)
    await ground.act("clerk", 0)
    free = await spent(ground)
    assert (free.rows[0].calls, free.rows[0].share_percent) == (1, 0)


async def test_the_time_before_stands_beside_and_is_in_no_sum(ground: Ground) -> None:
    await ground.act("clerk", 400)
    await ground.act("reader", 30)
    ground.clock.advance(3601)
    await ground.begin("clerk")
    await ground.act("clerk", 100)
    found = await spent(ground)
    clerk, reader = found.rows
    assert (clerk.name, clerk.cost_micros, clerk.before_micros) == ("clerk", 100, 400)
    assert (reader.calls, reader.cost_micros, reader.before_micros) == (0, 0, 30)
    assert (found.total.cost_micros, found.total.before_micros) == (100, 430)


async def test_what_has_not_ended_is_said_and_not_counted(ground: Ground) -> None:
    held = await ground.ask("clerk", estimate=Usage(cost_micros=500))
    await ground.ask("reader", estimate=Usage(cost_micros=70))
    found = await spent(ground)
    assert found.total.calls == 0
    assert (found.not_counted.unsettled, found.not_counted.unsettled_micros) == (2, 570)
    only = await spent(ground, "agent", teams={"research"}, agents={"reader"})
    assert (only.not_counted.unsettled, only.not_counted.unsettled_micros) == (1, 70)
    await ground.decider.settle(held, Outcome(status="unknown", usage=Usage(cost_micros=20)))
    found = await spent(ground)
    assert (found.total.cost_micros, found.total.unknown) == (20, 1)
    assert found.not_counted.unknown_micros == 480
    budget = await ground.store.read(lambda tx: read_budget(tx, ALL_DAY))
    assert budget.posted == found.total.cost_micros + found.not_counted.unknown_micros
    assert budget.held == found.not_counted.unsettled_micros


async def test_a_reader_of_one_team_sees_only_that(ground: Ground) -> None:
    await ground.act("clerk", 700)
    await ground.act("reader", 200)
    dimensions: tuple[SpendingBy, ...] = ("agent", "team", "model", "run")
    for by in dimensions:
        found = await spent(ground, by, teams={"research"}, agents={"reader"})
        assert found.total.cost_micros == sum(costs(found).values()) == 200
    assert (await spent(ground, "agent", teams=set(), agents=set())).total.calls == 0


async def test_rows_left_out_are_in_the_total(ground: Ground) -> None:
    for cost in (5, 3, 2):
        await ground.begin("clerk")
        await ground.act("clerk", cost)
    now = ground.clock.now()
    scope = Scope(now - HOUR, now + 1)
    found = await ground.store.scan(lambda tx: read_spending(tx, "run", scope, limit=2))
    assert [row.cost_micros for row in found.rows] == [5, 3]
    assert (found.more, found.total.cost_micros) == (1, 10)


async def test_the_calls_that_spent_it_are_found(ground: Ground) -> None:
    dear = await ground.act("clerk", 900, provider="local", estimate=Usage(cost_micros=1))
    cheap = await ground.act("clerk", 10, estimate=Usage(cost_micros=1))
    tool = await ground.act("reader", 0, "failed", kind="tool")
    running = await ground.ask("reader", estimate=Usage(cost_micros=1))

    async def found(wanted: Wanted) -> list[str]:
        rows, _ = await ground.store.scan(lambda tx: list_decisions(tx, wanted))
        return [row.decision for row in rows]

    assert await found(Wanted()) == [running, tool, cheap, dear]
    assert await found(Wanted(order="dearest")) == [dear, cheap, running, tool]
    assert await found(Wanted(budget=ALL_DAY)) == [running, cheap, dear]
    assert await found(Wanted(budget="all/day/tool_calls")) == [tool]
    assert await found(Wanted(cost_at_least=10)) == [cheap, dear]
    assert await found(Wanted(outcome="running")) == [running]
    assert await found(Wanted(outcome="failed")) == [tool]
    assert await found(Wanted(kind="tool")) == [tool]
    assert await found(Wanted(name="small-fast")) == [running, cheap, dear]
    assert await found(Wanted(named={"provider": "local"})) == [dear]
    assert await found(Wanted(named={"agent": "clerk", "provider": "-"})) == [cheap]
    assert await found(Wanted(named={"team": "research"})) == [running, tool]
    assert await found(Wanted(until=ground.clock.now())) == []
    keys: list[str] = []
    after = None
    while True:
        reading = partial(list_decisions, wanted=Wanted(order="dearest"), after=after, limit=1)
        rows, after = await ground.store.scan(reading)
        keys += [row.decision for row in rows]
        if after is None:
            break
    assert keys == [dear, cheap, running, tool]
    with pytest.raises(Invalid):
        await ground.store.scan(lambda tx: list_decisions(tx, Wanted(order="dearest"), after="x.y"))
