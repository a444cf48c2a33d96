"""Which versions of which agents made something rise, against the period before."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, distinct, func, literal, null, select

from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces.model import TOOL_CALLS
from watchkeeper.traces.tables import spans
from watchkeeper.wire.asking import Measure, Part, SpikePart

MOST_PARTS = 50
_s = spans.c
_action = _s.kind == "action"
_MEASURES: dict[Measure, ColumnElement[Any]] = {
    "cost": _s.cost_micros,
    "calls": case((and_(_action, _s.verdict == "permit"), 1), else_=0),
    "refusals": case((_s.verdict == "deny", 1), else_=0),
    "errors": case((and_(_action, _s.verdict == "permit", _s.status == "error"), 1), else_=0),
}
COUNTED: dict[Measure, str] = {
    "cost": "what actions cost that the plane decided, by when they began",
    "calls": "actions that were permitted",
    "refusals": "actions and runs that were refused",
    "errors": "permitted actions that did not succeed, or whose outcome nobody knows",
}
_tool = _s.operation.in_(TOOL_CALLS)
_PARTS: dict[Part, tuple[ColumnElement[Any], tuple[ColumnElement[bool], ...]]] = {
    "version": (null(), ()),
    "model": (_s.subject, (_action, ~_tool)),
    "tool": (_s.subject, (_action, _tool)),
    "rule": (_s.rule, ()),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked: a period, and the one before it that is as long."""

    measure: Measure
    by: Part
    since: int
    until: int
    agent: str | None = None

    @property
    def before_since(self) -> int:
        """Where the period before begins."""
        return self.since - (self.until - self.since)


@dataclass(frozen=True, slots=True)
class Found:
    """What both periods hold, and who adds most to what rose."""

    before: int
    during: int
    parts: tuple[SpikePart, ...]
    left_out: int


def read(tx: Transaction, asked: Asked, agents: Collection[str] | None = None) -> Found:
    """Return what each part adds; `agents` are all that is seen."""
    rows = tx.connection.execute(query(asked, agents)).all()
    if not rows:
        return Found(0, 0, (), 0)
    first = rows[0]
    parts = tuple(_part(row) for row in rows)
    return Found(int(first.all_before), int(first.all_during), parts, int(first.parts) - len(parts))


def query(asked: Asked, agents: Collection[str] | None) -> Select[Any]:
    """Return the query: one pass over the spans of both periods, by the index of their begin."""
    what, where = _PARTS[asked.by]
    during = _s.start >= asked.since
    measured, called = _MEASURES[asked.measure], _MEASURES["calls"]
    wanted = [
        _s.start >= asked.before_since,
        _s.start < asked.until,
        _s.source == "plane",
        _s.kind.in_(("action", "run")) if asked.measure == "refusals" else _action,
        *where,
    ]
    if asked.agent is not None:
        wanted.append(_s.agent == asked.agent)
    if agents is not None:
        wanted.append(_s.agent.in_(agents))

    def total(value: ColumnElement[Any], within: ColumnElement[bool]) -> ColumnElement[Any]:
        return func.coalesce(func.sum(case((within, value), else_=0)), 0)

    parts = (
        select(
            _s.agent,
            _s.version,
            what.label("what"),
            total(measured, ~during).label("before"),
            total(measured, during).label("during"),
            total(called, ~during).label("calls_before"),
            total(called, during).label("calls"),
            func.count(distinct(case((during, _s.run)))).label("runs"),
        )
        .where(*wanted)
        .group_by(_s.agent, _s.version, *(() if asked.by == "version" else (what,)))
        .subquery()
    )
    part = parts.c
    rise = part.during - part.before
    return (
        select(
            parts,
            rise.label("rise"),
            func.sum(part.before).over().label("all_before"),
            func.sum(part.during).over().label("all_during"),
            func.sum(case((rise > 0, rise), else_=literal(0))).over().label("all_rise"),
            func.count().over().label("parts"),
        )
        .order_by(rise.desc(), part.during.desc(), part.agent, part.version)
        .limit(MOST_PARTS)
    )


def _part(row: Row) -> SpikePart:
    rise, whole = int(row.rise), int(row.all_rise)
    return SpikePart(
        agent=row.agent,
        version=row.version,
        what=row.what,
        before=int(row.before),
        during=int(row.during),
        rise=rise,
        share=rise / whole if rise > 0 else None,
        calls_before=int(row.calls_before),
        calls=int(row.calls),
        runs=int(row.runs),
    )
