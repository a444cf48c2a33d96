"""Which agents touched a class of data: in whose calls it passed the plane."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, distinct, func, select

from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces.model import name_of
from watchkeeper.traces.tables import spans
from watchkeeper.wire.asking import Touch, Toucher
from watchkeeper.wire.data import DataClass

MOST_AGENTS = 200
EXAMPLES = 3
COUNTED = "actions whose arguments, prompts, results or answers held it, as the plane saw them pass"
MISSING = (
    "what passed past the plane: tools that agents keep to themselves, their own memory and files",
    "data that its detectors do not recognise: they know forms (a card's number, an address), "
    "not meaning",
)
_s = spans.c


def read(
    tx: Transaction,
    data: DataClass,
    *,
    since: int,
    until: int,
    agents: Collection[str] | None = None,
) -> tuple[Toucher, ...]:
    """Return who touched it, the most first; `agents` are all that is seen."""
    found: dict[str, list[Row]] = {}
    for row in tx.connection.execute(counts(data, since, until)):
        # asked for in the query, agents would have another index read: all that they ever did
        if agents is None or row.agent in agents:
            found.setdefault(row.agent, []).append(row)
    if not found:
        return ()
    shown: dict[str, list[Touch]] = {}
    for row in tx.connection.execute(examples(data, since, until)):
        name = name_of(row.operation, row.subject)
        touch = Touch(key=row.key, run=row.run, name=name, at=row.start)
        shown.setdefault(row.agent, []).append(touch)
    who = (_toucher(name, rows, shown.get(name, [])) for name, rows in found.items())
    return tuple(sorted(who, key=lambda one: (-one.actions, one.agent)))[:MOST_AGENTS]


def counts(data: DataClass, since: int, until: int) -> Select[Any]:
    """Return the query that counts by version, with the index of what held data."""
    return (
        select(
            _s.agent,
            _s.version,
            func.count().label("actions"),
            func.count(distinct(_s.run)).label("runs"),
            func.min(_s.start).label("first"),
            func.max(_s.start).label("last"),
        )
        .where(*_holds(data, since, until))
        .group_by(_s.agent, _s.version)
    )


def examples(data: DataClass, since: int, until: int) -> Select[Any]:
    """Return the query for the latest of each agent."""
    place = func.row_number().over(partition_by=_s.agent, order_by=(_s.start.desc(), _s.key))
    found = (
        select(_s.key, _s.run, _s.agent, _s.operation, _s.subject, _s.start, place.label("place"))
        .where(*_holds(data, since, until))
        .subquery()
    )
    return select(found).where(found.c.place <= EXAMPLES).order_by(found.c.agent, found.c.place)


def _holds(data: DataClass, since: int, until: int) -> tuple[Any, ...]:
    # no class is named within another's name
    return (
        _s.classes.is_not(None),
        _s.classes.contains(data),
        _s.start >= since,
        _s.start < until,
    )


def _toucher(agent: str, rows: list[Row], shown: list[Touch]) -> Toucher:
    return Toucher(
        agent=agent,
        versions=tuple(sorted(row.version for row in rows if row.version is not None)),
        actions=sum(row.actions for row in rows),
        runs=sum(row.runs for row in rows),
        first=min(row.first for row in rows),
        last=max(row.last for row in rows),
        examples=tuple(shown),
    )
