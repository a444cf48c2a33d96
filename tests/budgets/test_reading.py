from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.budgets.ground import budget, cap, reserve, settle
from tests.rig.moments import moment
from tests.rig.sweeping import sweep
from watchkeeper.budgets import history
from watchkeeper.budgets.periods import HOUR_US
from watchkeeper.budgets.reading import list_budgets, read_budget
from watchkeeper.budgets.timers import HANDLERS
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Invalid, NotFound
from watchkeeper.store.store import Store
from watchkeeper.wire.budgets import BudgetRow

STANDING = (
    cap("team/ops", "day", "spend", 1200),
    cap("team/ops", "day", "tokens", 4000),
    cap("agent/b-2", "hour", "tool_calls", 3),
    cap("agent/b", "hour", "tool_calls", 3),
    cap("agent/b.x", "month", "spend", 3),
    cap("all", "month", "spend", 10**6),
    cap("agent/b", "run", "spend", 5),
)
NAMES = [
    "agent/b/hour/tool_calls",
    "agent/b-2/hour/tool_calls",
    "agent/b.x/month/spend",
    "all/month/spend",
    "team/ops/day/tokens",
    "team/ops/day/spend",
]


@pytest.fixture
def clock() -> RehearsalClock:
    return RehearsalClock(frozen=True, start=moment("2026-11-20T10:30:00Z"))


async def pages(store: Store, limit: int = 2, **options: Any) -> list[BudgetRow]:
    rows: list[BudgetRow] = []
    after = None
    while True:
        page = await store.read(
            partial(list_budgets, standing=STANDING, after=after, limit=limit, **options)
        )
        rows += page.rows
        if page.next is None:
            return rows
        assert len(page.rows) == limit
        after = page.next


async def names(store: Store, **options: Any) -> list[str]:
    return [row.budget for row in await pages(store, **options)]


@pytest.mark.parametrize("limit", [1, 2, 4, 100])
async def test_standing_budgets_are_listed_used_or_not(store: Store, limit: int) -> None:
    assert await names(store, limit=limit) == NAMES
    await reserve(store, "d1", {"spend": 10}, caps=STANDING[:1])
    await reserve(store, "d2", {"tool_calls": 2}, caps=STANDING[2:4])
    assert await names(store, limit=limit) == NAMES
    rows = {row.budget: row.held for row in await pages(store, limit)}
    assert rows["team/ops/day/spend"] == 10
    assert rows["agent/b/hour/tool_calls"] == 2


async def test_runs_are_listed_when_near_their_cap_or_asked_for(
    store: Store, clock: RehearsalClock
) -> None:
    for n, used in enumerate([10, 79, 80, 100]):
        caps = [cap(f"run/r{n}", "run", "spend", 100)]
        await reserve(store, f"d{n}", {"spend": used}, caps=caps, run=f"r{n}")
    refused = [cap("run/r9", "run", "spend", 1)]
    await reserve(store, "d9", {"spend": 2}, caps=refused, run="r9")
    listed = [name for name in await names(store) if name.startswith("run/")]
    assert listed == ["run/r2/spend", "run/r3/spend", "run/r9/spend"]
    assert len(await names(store, scope="run")) == 5
    assert await names(store, scope="run/r0") == ["run/r0/spend"]
    clock.advance(86_401)
    assert not [name for name in await names(store) if name.startswith("run/")]


async def test_each_one_that_a_budget_stands_for_is_listed_when_near_or_asked_for(
    store: Store,
) -> None:
    for name, used in (("ada", 10), ("bob", 90)):
        caps = [cap(f"person/{name}", "day", "spend", 100)]
        await reserve(store, name, {"spend": used}, caps=caps)
    bob, ada = "person/bob/day/spend", "person/ada/day/spend"
    assert await names(store) == [*NAMES[:4], bob, *NAMES[4:]]
    assert await names(store, scope="person") == [ada, bob]
    assert await names(store, text="person") == [ada, bob]


async def test_filters_by_scope_and_words(store: Store) -> None:
    assert await names(store, scope="agent") == NAMES[:3]
    assert await names(store, scope="agent/b") == NAMES[:1]
    assert await names(store, text="SPEND team") == ["team/ops/day/spend"]
    assert await names(store, text="%") == []
    with pytest.raises(Invalid):
        await store.read(lambda tx: list_budgets(tx, after="x"))


async def test_near_lists_only_what_refuses_or_soon_will(store: Store) -> None:
    assert await names(store, near=True) == []
    await reserve(store, "d1", {"spend": 960}, caps=STANDING[:1])
    await reserve(store, "d2", {"tool_calls": 2}, caps=STANDING[2:4])
    await reserve(store, "d3", {"tool_calls": 2}, caps=STANDING[3:4])
    assert await names(store, near=True) == ["agent/b/hour/tool_calls", "team/ops/day/spend"]


async def test_a_new_period_starts_from_nothing(store: Store, clock: RehearsalClock) -> None:
    await reserve(store, "d1", {"tool_calls": 3}, caps=STANDING[3:4])
    name = "agent/b/hour/tool_calls"
    row = await budget(store, name, STANDING)
    assert (row.held, row.state, row.period_key) == (3, "exhausted", "2026-11-20T10")
    assert row.resets_at == moment("2026-11-20T11:00:00Z")
    clock.advance(1800)
    row = await budget(store, name, STANDING)
    assert (row.held, row.state, row.period_key) == (0, "ok", "2026-11-20T11")
    assert await names(store) == NAMES


async def test_detail_names_who_spent(store: Store) -> None:
    team = STANDING[:1]
    for n, (agent, used) in enumerate([("a", 5), ("b", 30), ("a", 4), ("c", 0)]):
        await reserve(store, f"d{n}", {"spend": 40}, caps=team, agent=agent)
        await settle(store, f"d{n}", {"spend": used})
    spent = (await budget(store, "team/ops/day/spend", team)).spenders
    assert [(one.agent, one.amount, one.calls) for one in spent] == [("b", 30, 1), ("a", 9, 2)]
    own = [cap("agent/b", "day", "spend", 99)]
    await reserve(store, "d9", {"spend": 7}, caps=own, agent="b")
    assert (await budget(store, "agent/b/day/spend", own)).spenders == ()
    await settle(store, "d9", {"spend": 6})
    (only,) = (await budget(store, "agent/b/day/spend", own)).spenders
    assert (only.agent, only.amount) == ("b", 6)
    with pytest.raises(NotFound):
        await store.read(lambda tx: read_budget(tx, "agent/zoe/day/spend"))


async def test_forecast_from_the_last_hour_and_the_day_so_far(
    store: Store, clock: RehearsalClock
) -> None:
    caps = [cap("team/ops", "day", "spend", 1000)]
    await reserve(store, "d1", {"spend": 200}, caps=caps)
    await settle(store, "d1", {"spend": 200})

    async def ends() -> int | None:
        return (await budget(store, "team/ops/day/spend", caps)).exhausts_at

    # 200 in the last hour, 200 in the day's ten and a half
    assert await ends() == clock.now() + 800 * HOUR_US // ((200 + 19) // 2)
    clock.advance(3600)
    assert await ends() is None  # 58 an hour: not today
    await reserve(store, "d2", {"spend": 300}, caps=caps)
    await settle(store, "d2", {"spend": 300})
    assert await ends() == clock.now() + 500 * HOUR_US // ((400 + 43) // 2)


async def test_history_shows_what_each_part_posted(store: Store, clock: RehearsalClock) -> None:
    caps = [cap("team/ops", "day", "spend", 1000), cap("team/ops", "hour", "spend", 1000)]

    async def row(period: str) -> BudgetRow:
        return await budget(store, f"team/ops/{period}/spend", caps)

    async def copy() -> None:
        due = clock.now() // history.EVERY * history.EVERY
        await store.write(lambda tx: history.copy(tx, "balances", due))

    for number, amount in enumerate((30, 0, 50)):
        if amount:
            await reserve(store, f"d{number}", {"spend": amount}, caps=caps)
            await settle(store, f"d{number}", {"spend": amount})
        clock.advance(300)
        await copy()
    assert (await row("hour")).history == (0, 0, 0, 0, 0, 0, 30, 0, 50)
    assert (await row("hour")).history_seconds == 300
    clock.advance(3600)
    await copy()
    await reserve(store, "d9", {"spend": 7}, caps=caps)
    await settle(store, "d9", {"spend": 7})
    day = await row("day")
    assert (day.history, day.history_seconds) == ((*[0] * 10, 80, 7), 3600)
    assert sum(day.history) == day.posted


async def test_history_is_copied_by_a_timer_that_sets_the_next(
    store: Store, clock: RehearsalClock
) -> None:
    await store.write(history.begin)
    caps = [cap("all", "hour", "spend", 1000)]
    await reserve(store, "d1", {"spend": 5}, caps=caps)
    await settle(store, "d1", {"spend": 5})
    clock.advance(700)  # late: it stands for the time that it was due
    await sweep(store, {**history.HANDLERS, **HANDLERS})
    row = await budget(store, "all/hour/spend", caps)
    assert row.history == (0, 0, 0, 0, 0, 0, 5, 0, 0)
