"""SQLite: connections and the writer's transaction."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import NullPool

from watchkeeper.core.errors import Unavailable
from watchkeeper.store.journal import SELECT_HEAD, Event, Journal
from watchkeeper.store.transaction import Transaction

BUSY_SECONDS = 1.0  # how long a foreign writer may hold us up
_WAL_LIMIT_BYTES = 64 * 1024 * 1024
# the same few pages change with every batch: copied back once per 4,000 pages of log (16 MB),
# not once per 1,000, they cost less than the batch itself
_CHECKPOINT_PAGES = 4000
_CACHE_KIB = 8192
_INSERT_EVENT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_MOVE_HEAD = "UPDATE ledger_head SET sequence = ?, chain_hash = ? WHERE id = 1"


def connect(
    path: Path, *, read_only: bool = False, create: bool = False
) -> tuple[Connection, sqlite3.Connection]:
    """Open a connection: SQLAlchemy's and the driver's, which share one transaction.

    The driver begins nothing by itself; who holds the connection sends BEGIN and COMMIT.
    Raises :class:`Unavailable` if the file cannot be opened or is no database.
    """
    try:
        if create:
            # the journal files take over these permissions
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        driver = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=BUSY_SECONDS,
            cached_statements=512,
        )
        _configure(driver, read_only=read_only)
    except (sqlite3.Error, OSError) as error:
        raise Unavailable(
            f"cannot open the database: {error}",
            where=str(path),
            remedy="check that the directory exists and is writable, and that the file is ours",
        ) from error
    engine: Engine = create_engine(
        "sqlite://", creator=lambda: driver, poolclass=NullPool, hide_parameters=True
    )
    return engine.connect(), driver


def _configure(driver: sqlite3.Connection, *, read_only: bool) -> None:
    if not read_only:
        mode = driver.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            raise sqlite3.OperationalError(f"no write-ahead log on this file system ({mode})")
        driver.execute("PRAGMA synchronous=FULL")
        driver.execute(f"PRAGMA journal_size_limit={_WAL_LIMIT_BYTES}")
        driver.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
        driver.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        # what is deleted or changed is written over: what was erased is in no free page
        driver.execute("PRAGMA secure_delete=ON")
    driver.execute("PRAGMA foreign_keys=ON")
    driver.execute("PRAGMA trusted_schema=OFF")
    driver.execute("PRAGMA temp_store=MEMORY")


class SqliteSession:
    """The writer's transaction on SQLite, spoken to the driver directly."""

    wire = None

    def __init__(self, path: Path, *, create: bool = True) -> None:
        connection, driver = connect(path, create=create)
        self.connection = connection
        self.driver: sqlite3.Connection = driver
        self._data_version = -1
        self.durable = self._syncs = True

    def begin(self, journal: Journal) -> None:
        """Begin; read the ledger's head again if another process wrote."""
        if self.durable is not self._syncs:
            # either way all that the log holds by then is synced with the next that is durable
            self.driver.execute(f"PRAGMA synchronous={'FULL' if self.durable else 'NORMAL'}")
            self._syncs = self.durable
        self.driver.execute("BEGIN IMMEDIATE")
        version = self.driver.execute("PRAGMA data_version").fetchone()[0]
        if version != self._data_version:
            head = SELECT_HEAD.first(Transaction(self.connection, self.driver, 0, None))
            if head is None:
                raise sqlite3.DatabaseError("the ledger's head is missing")
            journal.load(head.sequence, head.chain_hash)
            self._data_version = version

    def mark(self) -> None:
        """Set a savepoint."""
        self.driver.execute("SAVEPOINT unit")

    def keep(self) -> None:
        """Release the savepoint."""
        self.driver.execute("RELEASE unit")

    def undo(self) -> None:
        """Roll back to the savepoint and release it."""
        self.driver.execute("ROLLBACK TO unit")
        self.driver.execute("RELEASE unit")

    def changes(self) -> int:
        """Return SQLite's count of rows changed on this connection."""
        return self.driver.total_changes

    def lost(self) -> bool:
        """Whether SQLite rolled back by itself, as it may when the disk is full."""
        return not self.driver.in_transaction

    def append(self, batch: Sequence[Event], journal: Journal) -> None:
        """Insert the events and move the head."""
        self.driver.executemany(_INSERT_EVENT, batch)
        self.driver.execute(_MOVE_HEAD, (journal.sequence, journal.chain.hex()))

    def commit(self) -> None:
        """Commit; SQLAlchemy's own transaction, if a unit opened one, ends with it."""
        self.driver.execute("COMMIT")
        if self.connection.in_transaction():
            self.connection.commit()

    def rollback(self) -> None:
        """Roll back what is open."""
        if self.driver.in_transaction:
            self.driver.rollback()
        if self.connection.in_transaction():
            self.connection.rollback()

    def close(self) -> None:
        """Close the connection."""
        self.rollback()
        self.connection.close()
        self.connection.engine.dispose()
        self.driver.close()
