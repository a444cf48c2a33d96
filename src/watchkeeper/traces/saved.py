"""Questions that documents ask: the steps that they name, listed or counted in groups."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, String, case, cast, distinct, func, select

from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces.model import Span
from watchkeeper.traces.reading import Wanted, conditions
from watchkeeper.traces.rows import as_span
from watchkeeper.traces.tables import spans
from watchkeeper.traces.words import matching
from watchkeeper.wire.asking import Group, GroupBy, QuestionOrder

COUNTED = "steps that began in it: runs, calls, approvals, and what agents report"
_s = spans.c
_TIMES = {"hour": 3600 * MICROSECONDS, "day": 86_400 * MICROSECONDS}
_took = func.coalesce(_s.end, _s.start) - _s.start
_tokens = _s.input_tokens + _s.output_tokens
_called = _s.kind == "action"
# a run's own sums would count what its calls used once more
_FIGURES: dict[str, ColumnElement[Any]] = {
    "steps": func.count(),
    "runs": func.count(distinct(_s.run)),
    "errors": func.sum(case(((_s.status == "error") & (func.coalesce(_s.verdict, "") != "deny"), 1),
                            else_=0)),
    "refusals": func.sum(case((_s.verdict == "deny", 1), else_=0)),
    "cost_micros": func.sum(case((_called, _s.cost_micros), else_=0)),
    "tokens": func.sum(case((_called, _tokens), else_=0)),
    "longest": func.max(_took),
    "first": func.min(_s.start),
    "last": func.max(_s.start),
}  # fmt: skip
_OF_GROUPS: dict[QuestionOrder, str] = {
    "steps": "steps", "errors": "errors", "refusals": "refusals", "cost": "cost_micros",
    "tokens": "tokens", "slowest": "longest", "newest": "last",
}  # fmt: skip
_OF_STEPS: dict[QuestionOrder, ColumnElement[Any]] = {
    "newest": _s.start, "cost": _s.cost_micros, "tokens": _tokens, "slowest": _took,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked: which steps, in which groups if any, which of them first."""

    wanted: Wanted
    group_by: tuple[GroupBy, ...]
    order: QuestionOrder
    limit: int


def read_groups(
    tx: Transaction, asked: Query, agents: Collection[str] | None
) -> tuple[tuple[Group, ...], bool]:
    """Return how much there is of each group, and whether there are more groups."""
    figures = [value.label(name) for name, value in _FIGURES.items()]
    keys = [_key(by) for by in asked.group_by]
    named = [key.label(f"key_{place}") for place, key in enumerate(keys)]
    query = _narrowed(tx, select(*named, *figures), asked.wanted, agents).group_by(*keys)
    first = _FIGURES[_OF_GROUPS[asked.order]]
    rows = tx.connection.execute(query.order_by(first.desc(), *keys).limit(asked.limit + 1)).all()
    return tuple(_group(row, asked.group_by) for row in rows[: asked.limit]), len(
        rows
    ) > asked.limit


def read_steps(
    tx: Transaction, asked: Query, agents: Collection[str] | None
) -> tuple[list[Span], bool]:
    """Return the steps, and whether there are more."""
    query = _narrowed(tx, select(spans), asked.wanted, agents)
    query = query.order_by(_OF_STEPS[asked.order].desc(), _s.start.desc(), _s.key.desc())
    rows = tx.connection.execute(query.limit(asked.limit + 1)).all()
    return [as_span(row) for row in rows[: asked.limit]], len(rows) > asked.limit


def _narrowed(
    tx: Transaction, query: Select[Any], wanted: Wanted, agents: Collection[str] | None
) -> Select[Any]:
    query = query.where(*conditions(wanted))
    if agents is not None:
        query = query.where(_s.agent.in_(agents))
    return query if wanted.text is None else query.where(matching(tx, wanted.text))


def _key(by: GroupBy) -> ColumnElement[Any]:
    """Return what a group is of, as text; of a time where it begins."""
    if (length := _TIMES.get(by)) is not None:
        return cast(_s.start - _s.start % length, String)
    return cast(_s[by], String)


def _group(row: Row, group_by: tuple[GroupBy, ...]) -> Group:
    values = [getattr(row, f"key_{place}") for place in range(len(group_by))]
    return Group(
        values=tuple(
            utc_text(int(value)) if by in _TIMES and value is not None else value
            for by, value in zip(group_by, values, strict=True)
        ),
        steps=row.steps,
        runs=row.runs,
        errors=int(row.errors),
        refusals=int(row.refusals),
        cost_micros=int(row.cost_micros),
        tokens=int(row.tokens),
        longest_ms=int(row.longest) // 1000,
        first=row.first,
        last=row.last,
    )
