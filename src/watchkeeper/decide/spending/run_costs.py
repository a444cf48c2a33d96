"""What runs cost, by agent and version: the 95th percentile of a week against the one before.

Replays are left out: what they cost says nothing of what the agent's work does.

Percentiles are by nearest rank: of n costs in rising order the one at place ceil(n * p / 100)
(definition 1 of Hyndman and Fan, "Sample Quantiles in Statistical Packages", The American
Statistician 50, 1996). Each is a cost that occurred, and the database finds it without handing
out every run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, case, func, select

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.tables import decisions
from watchkeeper.identity.tables import is_replay, runs
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.spending import RunCostRow, RunCosts

WEEK_US = 7 * 86_400 * MICROSECONDS
FEWEST = 20
"""Of fewer runs the 95th percentile is the dearest run, and says nothing of a drift."""
DRIFT_PERCENT = 10
MOST_ROWS = 500


@dataclass(frozen=True, slots=True)
class WeekCosts:
    """What the runs of one version cost in one week."""

    runs: int
    p50: int
    p95: int


_NO_RUNS = WeekCosts(0, 0, 0)


def read_run_costs(
    tx: Transaction,
    *,
    until: int,
    agent: str | None = None,
    agents: Collection[str] | None = None,
    limit: int = MOST_ROWS,
) -> RunCosts:
    """Return what runs cost that ended in the week before a time; for `store.scan`."""
    weeks = _weeks(tx, until, agent, agents)
    rows = [
        compare(name, version, *pair) for (name, version), pair in weeks.items() if pair[0].runs
    ]
    rows.sort(key=lambda row: (-row.p95_micros, row.agent, -row.version))
    return RunCosts(
        since=until - WEEK_US,
        until=until,
        fewest=FEWEST,
        rows=tuple(rows[:limit]),
        more=max(0, len(rows) - limit),
    )


def compare(agent: str, version: int, week: WeekCosts, before: WeekCosts) -> RunCostRow:
    """Return one version's row; a drift is said where both weeks have enough runs."""
    enough = min(week.runs, before.runs) >= FEWEST
    drift = 100 * (week.p95 - before.p95) / before.p95 if enough and before.p95 else None
    from_nothing = enough and not before.p95 and week.p95 > 0
    return RunCostRow(
        agent=agent,
        version=version,
        runs=week.runs,
        p50_micros=week.p50,
        p95_micros=week.p95,
        before_runs=before.runs,
        before_p95_micros=before.p95 if before.runs else None,
        drift_percent=None if drift is None else round(drift, 1),
        drifts=from_nothing or (drift is not None and abs(drift) > DRIFT_PERCENT),
    )


def _weeks(
    tx: Transaction, until: int, agent: str | None, agents: Collection[str] | None
) -> dict[tuple[str, int], list[WeekCosts]]:
    is_before = case((runs.c.closed_at < until - WEEK_US, 1), else_=0)
    of_run = and_(decisions.c.run == runs.c.run, decisions.c.settled_at.is_not(None))
    cost = func.coalesce(func.sum(decisions.c.cost_micros), 0)
    costs = (
        select(runs.c.agent, runs.c.version, is_before.label("before"), cost.label("cost"))
        .select_from(runs.outerjoin(decisions, of_run))
        .where(runs.c.closed_at >= until - 2 * WEEK_US, runs.c.closed_at < until, ~is_replay)
        .group_by(runs.c.run, runs.c.agent, runs.c.version, runs.c.closed_at)
    )
    if agent is not None:
        costs = costs.where(runs.c.agent == agent)
    if agents is not None:
        costs = costs.where(runs.c.agent.in_(sorted(agents)))
    each = costs.subquery()
    same = (each.c.agent, each.c.version, each.c.before)
    ranked = select(
        *same,
        each.c.cost,
        func.row_number().over(partition_by=same, order_by=each.c.cost).label("place"),
        func.count().over(partition_by=same).label("runs"),
    ).subquery()
    r = ranked.c

    def at(percent: int) -> ColumnElement[int | None]:
        return case((r.place == (r.runs * percent + 99) // 100, r.cost))

    query = select(
        r.agent, r.version, r.before, func.max(r.runs), func.max(at(50)), func.max(at(95))
    ).group_by(r.agent, r.version, r.before)
    found: defaultdict[tuple[str, int], list[WeekCosts]]
    found = defaultdict(lambda: [_NO_RUNS, _NO_RUNS])
    for name, version, before, *figures in tx.connection.execute(query):
        found[name, version][before] = WeekCosts(*(int(one) for one in figures))
    return found
