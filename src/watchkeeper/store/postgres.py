"""PostgreSQL: the writer's transaction, through SQLAlchemy on asyncpg."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, event, exc, text
from sqlalchemy.engine import NestedTransaction

from watchkeeper.core.errors import Conflict
from watchkeeper.store.journal import INSERT_EVENT, MOVE_HEAD, SELECT_HEAD, Event, Journal, events
from watchkeeper.store.transaction import Transaction

_COLUMNS = tuple(events.c.keys())
WRITER_LOCK = 0x5761746368  # the advisory lock that makes one plane the writer


class PostgresSession:
    """The writer's transaction on one connection, which holds the writer's lock.

    Its methods wait for the server, so they run inside ``AsyncConnection.run_sync``.
    """

    driver = None

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._changes = 0
        self._begun = 0
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
        """Begin; the first statement tells the server."""
        self.connection.begin()
        self._begun = self._changes

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
        return self._changes

    def lost(self) -> bool:
        """Whether the connection broke, or the server is no longer in our transaction."""
        if self.connection.invalidated or self.connection.closed:
            return True
        driver = self.connection.connection.driver_connection
        return self._changes > self._begun and not driver.is_in_transaction()  # type: ignore[union-attr]

    def append(self, batch: Sequence[Event], journal: Journal) -> None:
        """Insert the events and move the head."""
        tx = Transaction(self.connection, None, 0, None)
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
