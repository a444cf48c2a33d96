"""Sums over settled actions, grouped by any dimensions, in one pass over a time.

An action is of the time when it was permitted: so is what budgets hold and post for it. Ids
sort by that time, so a time is a stretch of the primary key and needs no index of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, case, func, literal_column, or_, select

from watchkeeper.budgets.tables import holds
from watchkeeper.core import ids
from watchkeeper.decide.spending.dimensions import DIMENSIONS
from watchkeeper.decide.tables import decisions, has_failed, is_open, is_permitted
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.spending import NotCounted, SpendingBy

_d = decisions.c
_UNKNOWN: ColumnElement[str] = literal_column("'unknown'")
FIGURES: dict[str, ColumnElement[int]] = {
    "calls": literal_column("1"),
    "failed": case((has_failed, 1), else_=0),
    "unknown": case((_d.outcome == _UNKNOWN, 1), else_=0),
    "input_tokens": _d.input_tokens,
    "output_tokens": _d.output_tokens,
    "cache_read_tokens": func.coalesce(_d.cache_read_tokens, 0),
    "cost_micros": _d.cost_micros,
    # what failed moved nothing; of what is unknown it must be feared
    "value_micros": case((has_failed, 0), else_=func.coalesce(_d.value_micros, 0)),
}
"""What is summed of each action."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which actions are looked at: of a time, of some names, and of what the reader may see."""

    since: int
    until: int
    """Microseconds; the first of them is in it, the last is not."""
    named: tuple[ColumnElement[bool], ...] = ()
    teams: Collection[str] | None = None
    """None: every team."""
    agents: Collection[str] | None = None
    """Those of the teams: actions of before costs were booked to teams are told by them."""

    def conditions(self, since: int | None = None) -> list[ColumnElement[bool]]:
        """Select the permitted actions in scope, from another time on where one is given."""
        begin = self.since if since is None else since
        found = [
            _d.decision >= ids.first_at("dec", max(0, begin)),
            _d.decision < ids.first_at("dec", max(0, self.until)),
            is_permitted,
            *self.named,
        ]
        if self.teams is not None:
            older = and_(_d.team.is_(None), _d.agent.in_(sorted(self.agents or ())))
            found.append(or_(_d.team.in_(sorted(self.teams)), older))
        return found


@dataclass(frozen=True, slots=True)
class Sum:
    """One group's figures, by their names in `FIGURES`; `before` is the cost of the time before."""

    names: tuple[str, ...]
    figures: dict[str, int]
    before: int = 0


@dataclass(frozen=True, slots=True)
class Sums:
    """The dearest groups, what all of them come to, and how many there are."""

    groups: tuple[Sum, ...]
    total: Sum
    count: int


def sum_up(
    tx: Transaction, by: Sequence[SpendingBy], scope: Scope, *, limit: int, before: bool = False
) -> Sums:
    """Return the sums of the dearest groups; with `before`, also what each cost as long before.

    Reads every action of the time: for `store.scan`.
    """
    begin = scope.since - (scope.until - scope.since) if before else scope.since
    is_now = _d.decision >= ids.first_at("dec", max(0, scope.since))
    names = [DIMENSIONS[one].label(f"name_{place}") for place, one in enumerate(by)]
    cost = _d.cost_micros
    earlier = func.sum(case((is_now, 0), else_=cost)) if before else literal_column("0")
    figures = [
        func.sum(case((is_now, value), else_=0) if before else value).label(name)
        for name, value in FIGURES.items()
    ]
    grouped = (
        select(*names, *figures, earlier.label("before_micros"))
        .where(*scope.conditions(begin), _d.settled_at.is_not(None))
        .group_by(*names)
        .subquery()
    )
    g = grouped.c
    all_of = [func.sum(g[name]).over().label(f"all_{name}") for name in (*FIGURES, "before_micros")]
    query = (
        select(grouped, func.count().over().label("groups"), *all_of)
        .order_by(
            g.cost_micros.desc(),
            g.before_micros.desc(),
            g.calls.desc(),
            *(g[f"name_{place}"] for place in range(len(by))),
        )
        .limit(limit)
    )
    rows = list(tx.connection.execute(query))
    if not rows:
        return Sums((), Sum((), dict.fromkeys(FIGURES, 0)), 0)
    total = Sum((), _figures(rows[0], "all_"), int(rows[0].all_before_micros))
    return Sums(tuple(_sum(row, len(by)) for row in rows), total, int(rows[0].groups))


def rest(sums: Sums) -> Sum:
    """Return what the groups come to that were left out."""
    figures = {
        name: total - sum(one.figures[name] for one in sums.groups)
        for name, total in sums.total.figures.items()
    }
    return Sum((), figures, sums.total.before - sum(one.before for one in sums.groups))


def not_counted(tx: Transaction, scope: Scope) -> NotCounted:
    """Return what has not ended, and what budgets count beyond what was reported."""
    open_ = select(func.count(), func.coalesce(func.sum(holds.c.reserved_spend), 0)).select_from(
        decisions.outerjoin(
            holds, and_(holds.c.decision == _d.decision, holds.c.state == literal_column("'live'"))
        )
    )
    count, held = tx.connection.execute(
        open_.where(is_open, _d.at >= scope.since, _d.at < scope.until, *scope.conditions()[2:])
    ).one()
    beyond = (
        select(func.coalesce(func.sum(holds.c.posted_spend - _d.cost_micros), 0))
        .select_from(decisions.join(holds, holds.c.decision == _d.decision))
        .where(*scope.conditions(), _d.outcome == _UNKNOWN)
    )
    return NotCounted(
        unsettled=count,
        unsettled_micros=int(held),
        unknown_micros=int(tx.connection.execute(beyond).scalar_one()),
    )


def _figures(row: Row, prefix: str = "") -> dict[str, int]:
    return {name: int(getattr(row, prefix + name)) for name in FIGURES}


def _sum(row: Row, dimensions: int) -> Sum:
    names = tuple(str(row[place]) for place in range(dimensions))
    return Sum(names, _figures(row), int(row.before_micros))
