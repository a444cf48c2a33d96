"""How far the ledger's spans were exported, by whom, and what came of it."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Column, Table, Text, bindparam, func, or_, select, update

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.store.cursor import Cursor
from watchkeeper.store.journal import SELECT_AFTER, Event, event_from_row
from watchkeeper.store.metadata import Whole, metadata
from watchkeeper.store.statement import Row, Statement, insert
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces.model import Span
from watchkeeper.traces.rows import find
from watchkeeper.traces.rules import keys_of
from watchkeeper.traces.tables import trace_cursor

HOLDS_SECONDS = 30
"""For how long one of several planes exports before another may."""
MOST_BEHIND = 200_000
"""Events that an exporter may be behind; of those before, nothing is exported any more."""

export_cursor = Cursor("export_cursor")
trace_export = Table(
    "trace_export",
    metadata,
    Column("id", Whole, primary_key=True, autoincrement=False),
    Column("holder", Text, nullable=False),
    Column("held_until", Whole, nullable=False),
    Column("sent", Whole, nullable=False),
    Column("refused", Whole, nullable=False),
    Column("lost", Whole, nullable=False),
    Column("passed_over", Whole, nullable=False),
    Column("sent_at", Whole),
)
"""One row. Counted in spans: `sent`; `refused`, which the receiver took no part of; `lost`, of
batches that it would never take. `passed_over` are events that were too far behind."""
_BEGIN = Statement(
    insert(trace_export)
    .values(id=1, holder="", held_until=0, sent=0, refused=0, lost=0, passed_over=0)
    .on_conflict_do_nothing(index_elements=["id"])
)
_t = trace_export.c
_HOLD = Statement(
    update(trace_export)
    .where(_t.id == 1, or_(_t.holder == bindparam("by"), _t.held_until < bindparam("now")))
    .values(holder=bindparam("by"), held_until=bindparam("until"))
)
_COUNT = Statement(
    update(trace_export)
    .where(_t.id == 1)
    .values(
        sent=_t.sent + bindparam("sent_more"),
        refused=_t.refused + bindparam("refused_more"),
        lost=_t.lost + bindparam("lost_more"),
        passed_over=_t.passed_over + bindparam("passed_more"),
        sent_at=func.coalesce(bindparam("at", type_=Whole), _t.sent_at),
    )
)
_COUNTS = Statement(select(trace_export).where(_t.id == 1))


class Next(NamedTuple):
    """What is to be exported next."""

    after: int
    events: list[Event]
    spans: dict[str, Span]


class Counts(NamedTuple):
    """What came of a batch."""

    sent: int = 0
    refused: int = 0
    lost: int = 0


def begin(tx: Transaction, head: int) -> None:
    """Export from here on, unless it was begun before."""
    export_cursor.begin(tx, head)
    _BEGIN.run(tx)


def how_far(tx: Transaction) -> tuple[int, int]:
    """Return up to which event spans are exported, and up to which they are told."""
    return export_cursor.at(tx) or 0, trace_cursor.at(tx) or 0


def hold(tx: Transaction, by: str) -> bool:
    """Tell whether it is this plane that exports now."""
    tx.silent("which plane exports is no matter of the ledger")
    until = tx.now + HOLDS_SECONDS * MICROSECONDS
    return bool(_HOLD.run(tx, by=by, now=tx.now, until=until))


def look_ahead(tx: Transaction, limit: int) -> Next:
    """Return the next events that are told in spans, and those spans."""
    after, told = how_far(tx)
    rows = SELECT_AFTER.all(tx, after=after, limit=limit)
    events = [event_from_row(row) for row in rows if row.sequence <= told]
    return Next(after, events, find(tx, keys_of(events)))


def move(tx: Transaction, was: int, to: int, counts: Counts) -> None:
    """Go on behind a batch; raise `Conflict` if another plane was there first."""
    export_cursor.move(tx, was, to)
    _COUNT.run(
        tx, sent_more=counts.sent, refused_more=counts.refused, lost_more=counts.lost,
        passed_more=0, at=tx.now if counts.sent else None,
    )  # fmt: skip


def pass_over(tx: Transaction) -> int:
    """Give up what is too far behind; return how many events."""
    after, told = how_far(tx)
    tx.silent("what is too far behind is counted, and shown")
    if told - after <= MOST_BEHIND:
        return 0
    to = told - MOST_BEHIND // 2
    export_cursor.move(tx, after, to)
    _COUNT.run(tx, sent_more=0, refused_more=0, lost_more=0, passed_more=to - after, at=None)
    return to - after


def counts_of(tx: Transaction) -> Row | None:
    """Return what was counted so far."""
    return _COUNTS.first(tx)
