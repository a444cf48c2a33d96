"""Runs queued units of work in one transaction, each undone alone if it fails."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import CoroutineType
from typing import Any, Protocol

from sqlalchemy import Connection, exc

from watchkeeper.core.clock import Clock
from watchkeeper.core.errors import Conflict, Invalid, Unavailable, WatchkeeperError
from watchkeeper.store.journal import Event, Journal
from watchkeeper.store.transaction import Deferred, Transaction, Wire

LARGEST_BATCH = 256
# SQLSTATE classes: connection, transaction, rollback, resources, intervention, system
_STORAGE_STATES = ("08", "25", "40", "53", "57", "58", "XX")
_STORAGE_ERRORS = (
    sqlite3.OperationalError,
    sqlite3.InterfaceError,
    exc.OperationalError,
    exc.InterfaceError,
    OSError,
)
LONGEST_BATCH_SECONDS = 0.020  # past this the rest waits for the next batch


@dataclass(slots=True, eq=False)
class Unit:
    """A queued unit of work and, once it ran, how that ended."""

    call: Callable[[Transaction], Any]
    future: asyncio.Future[Any]
    durable: bool = True
    value: Any = None
    error: BaseException | None = None
    callbacks: list[Callable[[], None]] = field(default_factory=list)


class Session(Protocol):
    """The writer's connection to one engine, as the batch needs it."""

    durable: bool
    """Whether what is committed next is to outlast the machine's fall."""

    @property
    def connection(self) -> Connection:
        """SQLAlchemy's connection."""
        ...

    @property
    def driver(self) -> sqlite3.Connection | None:
        """The raw connection on SQLite, None elsewhere."""
        ...

    @property
    def wire(self) -> Wire | None:
        """PostgreSQL's own connection, None elsewhere."""
        ...

    def begin(self, journal: Journal) -> None:
        """Begin the transaction; load the journal if the stored ledger moved."""

    def mark(self) -> None:
        """Set the point that :meth:`undo` goes back to."""

    def keep(self) -> None:
        """Drop the point, keeping what was done since."""

    def undo(self) -> None:
        """Undo all since the point."""

    def changes(self) -> int:
        """Return a counter that grows with each changed row."""
        ...

    def lost(self) -> bool:
        """Whether the engine gave the whole transaction up."""
        ...

    def append(self, batch: list[Event], journal: Journal) -> None:
        """Insert the events and move the head."""

    def commit(self) -> None:
        """Make it durable."""

    def rollback(self) -> None:
        """Undo the whole transaction; never raises."""


class Spoiled(Exception):
    """The transaction as a whole is lost, because of ``error``.

    If ``committing``, the engine had been told to commit ``batch``.
    """

    def __init__(
        self,
        error: BaseException,
        ran: Sequence[Unit] = (),
        batch: Sequence[Event] = (),
        *,
        committing: bool = False,
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.ran = list(ran)
        self.batch = list(batch)
        self.committing = committing


class NotIsolated(Exception):
    """A unit failed after it changed rows, and there was no point to go back to."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


def run_queue(
    session: Session, journal: Journal, clock: Clock, queue: Sequence[Unit], *, isolate: bool
) -> tuple[list[Unit], list[Event]]:
    """Run units as :func:`run_batch` does, again with points to go back to if it must."""
    try:
        return run_batch(session, journal, clock, queue, isolate=isolate)
    except NotIsolated as failure:
        if len(queue) > 1:
            return run_batch(session, journal, clock, queue, isolate=True)
        queue[0].error = translate(failure.error)
        return list(queue), []


def run_batch(
    session: Session, journal: Journal, clock: Clock, queue: Sequence[Unit], *, isolate: bool
) -> tuple[list[Unit], list[Event]]:
    """Run units in order and commit; return those that ran and the events committed.

    Takes fewer than offered if they are slow. Raises :class:`NotIsolated` if the batch
    must run again with ``isolate``; :class:`Spoiled` if nothing of it was done. The
    journal is then where it was before.
    """
    start = journal.position()
    begun = time.perf_counter()
    ran: list[Unit] = []
    batch: list[Event] = []
    waiting: dict[str, Deferred] = {}
    committing = False
    session.durable = any(unit.durable for unit in queue)
    try:
        session.begin(journal)
        start = journal.position()
        for unit in queue:
            _run_unit(session, journal, clock, unit, waiting, isolate=isolate)
            ran.append(unit)
            if time.perf_counter() - begun > LONGEST_BATCH_SECONDS:
                break
        if waiting:
            _write(session, waiting)
        batch = journal.pending
        if batch:
            session.append(batch, journal)
        committing = True
        session.commit()
    except NotIsolated:
        session.rollback()
        journal.restore(start)
        raise
    except BaseException as error:
        copied = list(batch)
        session.rollback()
        journal.restore(start)
        if isinstance(error, Spoiled) or not isinstance(error, Exception):
            raise
        raise Spoiled(error, ran, copied, committing=committing) from error
    journal.pending = []
    return ran, batch


def _write(session: Session, waiting: dict[str, Deferred]) -> None:
    """Write what the units left; where that fails, each has to write its own."""
    try:
        tx = Transaction(session.connection, session.driver, 0, None, session.wire, waiting)
        tx.write_deferred()
    except Exception as error:
        if session.lost():
            raise
        raise NotIsolated(error) from error


def _run_unit(
    session: Session,
    journal: Journal,
    clock: Clock,
    unit: Unit,
    waiting: dict[str, Deferred],
    *,
    isolate: bool,
) -> None:
    before = journal.position()
    changes = session.changes()
    tx = Transaction(
        session.connection, session.driver, clock.now(), journal if unit.durable else None,
        session.wire, waiting, journal.vault,
    )  # fmt: skip
    unit.error = None
    if isolate:
        session.mark()
    try:
        unit.value = unit.call(tx)
        if isolate and waiting:
            tx.write_deferred()
        if session.lost():
            raise RuntimeError("a unit of work ended the transaction that is not its own")
        changed = session.changes() - changes + tx.deferrals
        _check(unit.value, tx, changed, journal.sequence - before.sequence)
    except Exception as error:
        journal.restore(before)
        if session.lost():
            raise Spoiled(error) from error
        broken = isinstance(error, sqlite3.Error | exc.DBAPIError)
        if isolate:
            waiting.clear()
            session.undo()
        elif broken or tx.deferrals or session.changes() != changes:
            raise NotIsolated(error) from error
        unit.error = translate(error)
        unit.value = None
    else:
        if isolate:
            session.keep()
        unit.callbacks = tx.end()
    finally:
        tx.end()


def _check(value: Any, tx: Transaction, changed: int, recorded: int) -> None:
    if isinstance(value, CoroutineType):
        value.close()
        raise TypeError("a unit of work is a plain function, not a coroutine")
    if changed and not recorded and not tx.is_silent:
        raise WatchkeeperError(
            f"a unit of work changed {changed} rows and recorded no event",
            code="unrecorded_change",
            remedy="call tx.record, or tx.silent with the reason",
        )


def translate(error: BaseException) -> BaseException:
    """Return the error that callers see for one of the database or of a unit."""
    if isinstance(error, WatchkeeperError):
        return error
    if isinstance(error, StopIteration):  # a future cannot carry it
        return RuntimeError("a unit of work raised StopIteration")
    state = str(getattr(getattr(error, "orig", None), "sqlstate", None) or "")
    if isinstance(error, sqlite3.IntegrityError | exc.IntegrityError) or state.startswith("23"):
        translated: WatchkeeperError = Conflict(
            f"the store refuses this: {first_line(error)}", code="constraint"
        )
    elif isinstance(error, sqlite3.DataError | exc.DataError | OverflowError) or (
        state.startswith("22")
    ):
        translated = Invalid(f"the store cannot hold this: {first_line(error)}")
    elif isinstance(error, _STORAGE_ERRORS) or state[:2] in _STORAGE_STATES:
        translated = unavailable(error)
    else:
        return error
    translated.__cause__ = error
    return translated


def unavailable(error: BaseException, *, unknown: bool = False) -> Unavailable:
    """Return what every unit of a lost batch is told."""
    failure = Unavailable(
        f"the store cannot write: {first_line(error)}",
        code="store_outcome_unknown" if unknown else "store_unavailable",
        remedy="the connection broke at the commit: look whether it was done before you try again"
        if unknown
        else "free disk space or restore the database, then try again; nothing was changed",
    )
    failure.__cause__ = error
    return failure


def first_line(error: BaseException) -> str:
    """Return what an error of the database says, without the statement and its values."""
    origin = getattr(error, "orig", None) or error
    return (str(origin).splitlines() or [type(origin).__name__])[0][:200]
