"""PostgreSQL: the writer's transaction, through SQLAlchemy on asyncpg."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any

import asyncpg
from sqlalchemy import Connection, event, exc, text
from sqlalchemy.engine import NestedTransaction
from sqlalchemy.util import await_only

from watchkeeper.core.errors import Conflict
from watchkeeper.store.journal import INSERT_EVENT, MOVE_HEAD, SELECT_HEAD, Event, Journal, events
from watchkeeper.store.transaction import Transaction

_HEAD = SELECT_HEAD.element
_UNSYNCED = text("SET LOCAL synchronous_commit TO OFF")
_COLUMNS = tuple(events.c.keys())
WRITER_LOCK = 0x5761746368  # the advisory lock that makes one plane the writer


class AsyncpgWire:
    """The driver's connection below SQLAlchemy's, in the same transaction.

    Errors come as SQLAlchemy's, without the statement and its values.
    """

    def __init__(self, connection: Connection) -> None:
        self._driver: Any = connection.connection.driver_connection
        self.changes = 0

    def is_in_transaction(self) -> bool:
        """Whether the connection lives and the server is in a transaction."""
        return not self._driver.is_closed() and bool(self._driver.is_in_transaction())

    def fetch(self, text: str, values: Sequence[Any], *, changes: bool) -> Sequence[Any]:
        """Return the rows; ``changes`` tells whether each is one that was changed."""
        rows: Sequence[Any] = self._wait(self._driver.fetch(text, *values))
        if changes:
            self.changes += len(rows)
        return rows

    def run(self, text: str, values: Sequence[Any]) -> int:
        """Return how many rows were changed."""
        status: str = self._wait(self._driver.execute(text, *values))
        count = status.rpartition(" ")[2]
        rows = int(count) if count.isdigit() and not status.startswith("SELECT") else 0
        self.changes += rows
        return rows

    def run_many(self, text: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run once for each row of values."""
        self._wait(self._driver.executemany(text, rows))
        self.changes += len(rows)

    def _wait(self, answer: Awaitable[Any]) -> Any:
        try:
            return await_only(answer)
        except asyncpg.exceptions.DataError as error:
            raise exc.DataError(None, None, error, hide_parameters=True) from error
        except asyncpg.PostgresError as error:
            raise exc.DBAPIError(None, None, error, hide_parameters=True) from error
        except asyncpg.InterfaceError as error:
            raise exc.InterfaceError(None, None, error, hide_parameters=True) from error


class PostgresSession:
    """The writer's transaction on one connection, which holds the writer's lock.

    Its methods wait for the server, so they run inside ``AsyncConnection.run_sync``.
    """

    driver = None

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.wire = AsyncpgWire(connection)
        self.durable = True
        self._changes = 0
        self._points: list[NestedTransaction] = []
        event.listen(connection, "after_cursor_execute", self._count)

    def take_lock(self) -> None:
        """Become the writer; raise :class:`Conflict` if another plane is."""
        taken = self.connection.scalar(
            text("SELECT pg_try_advisory_lock(:key)"), {"key": WRITER_LOCK}
        )
        self.connection.commit()
        if not taken:
            raise Conflict(
                "another plane writes to this database",
                code="store_in_use",
                remedy="stop that plane first, or give this one its own database",
            )

    def load(self, journal: Journal) -> None:
        """Stand where the stored ledger ends."""
        head = SELECT_HEAD.first(Transaction(self.connection, None, 0, None))
        if head is None:
            raise exc.DatabaseError("", None, Exception("the ledger's head is missing"))
        journal.load(head.sequence, head.chain_hash)
        self.connection.rollback()

    def begin(self, journal: Journal) -> None:
        """Begin, and see that the ledger stands where we left it."""
        self.connection.begin()
        # through SQLAlchemy, whose first statement begins the transaction on the server
        head = self.connection.execute(_HEAD).one_or_none()
        if head is None or tuple(head) != (journal.sequence, journal.chain.hex()):
            raise exc.OperationalError("", None, Exception("another writer moved the ledger"))
        if not self.durable:
            self.connection.execute(_UNSYNCED)

    def mark(self) -> None:
        """Set a savepoint."""
        self._points.append(self.connection.begin_nested())

    def keep(self) -> None:
        """Release the savepoint."""
        self._points.pop().commit()

    def undo(self) -> None:
        """Roll back to the savepoint."""
        self._points.pop().rollback()

    def changes(self) -> int:
        """Return how many rows were changed through this connection."""
        return self._changes + self.wire.changes

    def lost(self) -> bool:
        """Whether the connection broke, or the server is no longer in our transaction."""
        if self.connection.invalidated or self.connection.closed:
            return True
        return not self.wire.is_in_transaction()

    def append(self, batch: Sequence[Event], journal: Journal) -> None:
        """Insert the events and move the head."""
        tx = Transaction(self.connection, None, 0, None, self.wire)
        INSERT_EVENT.run_many(tx, [dict(zip(_COLUMNS, entry, strict=True)) for entry in batch])
        MOVE_HEAD.run(tx, sequence=journal.sequence, chain_hash=journal.chain.hex())

    def commit(self) -> None:
        """Commit."""
        self.connection.commit()

    def rollback(self) -> None:
        """Roll back; a connection that cannot is given up."""
        self._points.clear()
        try:
            self.connection.rollback()
        except (exc.SQLAlchemyError, OSError):
            self.connection.invalidate()

    def _count(
        self,
        connection: Connection,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        executemany: bool,
    ) -> None:
        if context is not None and context.isddl:
            return
        if context is None or context.isinsert or context.isupdate or context.isdelete:
            rows = len(parameters) if executemany else cursor.rowcount
            self._changes += max(rows, 0)
