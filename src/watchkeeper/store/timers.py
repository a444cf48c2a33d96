"""Timers: rows with a due time, written in the transaction that needs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Column, Index, Table, Text, UniqueConstraint, bindparam, delete, func, select

from watchkeeper.store.metadata import Key, Whole, metadata
from watchkeeper.store.statement import Statement, insert
from watchkeeper.store.transaction import Transaction

timers = Table(
    "timers",
    metadata,
    Column("id", Key, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("due_at", Whole, nullable=False),
    Column("attempts", Whole, nullable=False),
    UniqueConstraint("kind", "ref"),
)
Index("ix_timers_due_at_id", timers.c.due_at, timers.c.id)

Handler = Callable[[Transaction, str, int], None]
"""Called with the unit, the timer's ref and the time it was due (microseconds)."""


@dataclass(frozen=True, slots=True)
class Timer:
    """One thing to do at a time. A new schedule of the same (kind, ref) has a new id."""

    id: str
    kind: str
    ref: str
    due_at: int
    attempts: int


_upsert = insert(timers)
_SCHEDULE = Statement(
    _upsert.values(
        id=bindparam("id"),
        kind=bindparam("kind"),
        ref=bindparam("ref"),
        due_at=bindparam("due_at"),
        attempts=0,
    ).on_conflict_do_update(
        index_elements=["kind", "ref"],
        set_={"id": _upsert.excluded.id, "due_at": _upsert.excluded.due_at, "attempts": 0},
    )
)
_ENSURE = Statement(
    insert(timers)
    .values(
        id=bindparam("id"),
        kind=bindparam("kind"),
        ref=bindparam("ref"),
        due_at=bindparam("due_at"),
        attempts=0,
    )
    .on_conflict_do_nothing(index_elements=["kind", "ref"])
)
_CANCEL = Statement(
    delete(timers).where(timers.c.kind == bindparam("kind_is"), timers.c.ref == bindparam("ref_is"))
)
_DUE = Statement(
    select(timers)
    .where(timers.c.due_at <= bindparam("now"))
    .order_by(timers.c.due_at, timers.c.id)
    .limit(bindparam("most"))
)
_NEXT = Statement(select(func.min(timers.c.due_at)))
_OF = Statement(
    select(timers).where(timers.c.kind == bindparam("kind_is"), timers.c.ref == bindparam("ref_is"))
)
_FINISH = Statement(delete(timers).where(timers.c.id == bindparam("id_is")))
_FIND = Statement(select(timers.c.id).where(timers.c.id == bindparam("id_is")))
_POSTPONE = Statement(
    timers.update()
    .where(timers.c.id == bindparam("id_is"))
    .values(due_at=bindparam("due_at"), attempts=timers.c.attempts + 1)
)


def schedule(tx: Transaction, kind: str, ref: str, due_at: int) -> None:
    """Set the one timer of (kind, ref), in place of one that is set."""
    _SCHEDULE.run(tx, id=tx.new_id("tmr"), kind=kind, ref=ref, due_at=due_at)


def ensure(tx: Transaction, kind: str, ref: str, due_at: int) -> None:
    """Set the timer of (kind, ref) unless one is set already."""
    _ENSURE.run(tx, id=tx.new_id("tmr"), kind=kind, ref=ref, due_at=due_at)


def cancel(tx: Transaction, kind: str, ref: str) -> None:
    """Take the timer of (kind, ref) away, if there is one."""
    _CANCEL.run(tx, kind_is=kind, ref_is=ref)


def find(tx: Transaction, kind: str, ref: str) -> Timer | None:
    """Return the one timer of (kind, ref), or None."""
    row = _OF.first(tx, kind_is=kind, ref_is=ref)
    return None if row is None else Timer(*row)


def due(tx: Transaction, now: int, limit: int) -> list[Timer]:
    """Return up to ``limit`` timers due by ``now``, in the order they were due."""
    return [Timer(*row) for row in _DUE.all(tx, now=now, most=limit)]


def next_due(tx: Transaction) -> int | None:
    """Return when the next timer is due (microseconds), or None if none is set."""
    at: int | None = _NEXT.scalar(tx)
    return at


def finish(tx: Transaction, timer: Timer) -> bool:
    """Remove a timer that was handled; whether it was still there.

    One that its handler scheduled anew has another id and stays.
    """
    return _FINISH.run(tx, id_is=timer.id) == 1


def fire(tx: Transaction, timer: Timer, handlers: Mapping[str, Handler]) -> bool:
    """Handle and finish one timer in this unit; False if it was cancelled or set anew since.

    Raises ``KeyError`` for a kind without a handler, and whatever the handler raises.
    """
    if _FIND.scalar(tx, id_is=timer.id) is None:
        return False
    handlers[timer.kind](tx, timer.ref, timer.due_at)
    finish(tx, timer)
    return True


def postpone(tx: Transaction, timer: Timer, due_at: int) -> None:
    """Try a timer whose handler failed again later; counts the attempt."""
    tx.silent("a failed timer is only moved")
    _POSTPONE.run(tx, id_is=timer.id, due_at=due_at)
