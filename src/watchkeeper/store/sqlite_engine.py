"""The writer on SQLite: commits inline on the event loop, what queued meanwhile at once."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from watchkeeper.core.clock import Clock
from watchkeeper.store.batch import Spoiled, run_queue, translate, unavailable
from watchkeeper.store.feed import Publish
from watchkeeper.store.journal import SELECT_HEAD, Journal
from watchkeeper.store.migrations import migrate as migrate_schema
from watchkeeper.store.queue import Queue, answer, refuse
from watchkeeper.store.sqlite import BUSY_SECONDS, SqliteSession, connect
from watchkeeper.store.transaction import Transaction
from watchkeeper.store.vault import Vault

T = TypeVar("T")
SCANS_AT_ONCE = 2
_TRIES = 20


class SqliteEngine:
    """One SQLite file: a writer, a reader for short queries, threads for long ones.

    Short reads run on the event loop: in a thread each row would give up the interpreter
    lock and wait up to 5 ms for it.
    """

    def __init__(self, path: Path, clock: Clock, session: SqliteSession) -> None:
        self._path = path
        self._clock = clock
        self._session = session
        self.vault = Vault()
        self._journal = Journal(self.vault)
        self._queue = Queue()
        self._scheduled = False
        self._waiting: asyncio.TimerHandle | None = None
        """Runs what may wait, unless a unit that may not comes first."""
        self._publish: Publish = lambda batch, head: None
        self._reader, self._reader_driver = connect(path, read_only=True)
        self._scans = asyncio.Semaphore(SCANS_AT_ONCE)
        head = SELECT_HEAD.first(Transaction(self._reader, self._reader_driver, 0, None))
        if head is None:
            raise sqlite3.DatabaseError("the ledger's head is missing")
        self.head: int = head.sequence

    @classmethod
    async def open(cls, url: URL, clock: Clock, *, migrate: bool) -> Self:
        """Open the file, create it if ``migrate``, and bring the schema up to date."""
        path = Path(url.database or "")
        session = SqliteSession(path, create=migrate)
        try:
            session.driver.execute("BEGIN IMMEDIATE")
            migrate_schema(session.connection, clock.now(), apply=migrate)
            session.commit()
            return cls(path, clock, session)
        except sqlite3.Error as error:
            session.close()
            raise unavailable(error) from error
        except BaseException:
            session.close()
            raise

    def publish_to(self, publish: Publish) -> None:
        """Hand committed events and the ledger's head to ``publish``."""
        self._publish = publish

    async def write(
        self, unit: Callable[[Transaction], T], patience: float = 0, durable: bool = True
    ) -> T:
        """Queue a unit and return its value once durable, or once committed."""
        future = self._queue.put(unit, durable=durable)
        if patience and not self._scheduled:
            if self._waiting is None:
                loop = asyncio.get_running_loop()
                self._waiting = loop.call_later(patience, self._drain)
        elif not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._drain)
        value: T = await future
        return value

    async def read(self, query: Callable[[Transaction], T]) -> T:
        """Run a short query on the reader, here and now."""
        self._queue.check_open()
        self._see_all()
        return self._query(self._reader, self._reader_driver, query)

    async def scan(self, query: Callable[[Transaction], T]) -> T:
        """Run a long query in a thread on a connection of its own."""
        self._queue.check_open()
        self._see_all()

        def run() -> T:
            connection, driver = connect(self._path, read_only=True)
            try:
                return self._query(connection, driver, query)
            finally:
                connection.close()
                driver.close()

        async with self._scans:
            return await asyncio.to_thread(run)

    async def scrub(self) -> bool:
        """Empty the log: in the file itself what is gone is written over at once."""
        self._see_all()
        for _ in range(_TRIES):
            busy, *_ = self._session.driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not busy:
                return True
            await asyncio.sleep(BUSY_SECONDS / _TRIES)
        return False

    async def close(self) -> None:
        """Commit what is queued and close the connections."""
        if self._queue.closed:
            return
        self._queue.closed = True
        while self._queue:
            self._drain()
        self._reader.close()
        self._reader_driver.close()
        self._session.close()

    def _see_all(self) -> None:
        """Commit what waits for company, so that whoever was answered before finds it."""
        if self._waiting is not None:
            self._drain()

    def _query(
        self,
        connection: Connection,
        driver: sqlite3.Connection,
        query: Callable[[Transaction], T],
    ) -> T:
        try:
            driver.execute("BEGIN")
            now = self._clock.now()
            return query(Transaction(connection, driver, now, None, vault=self.vault))
        except Exception as error:
            translated = translate(error)
            if translated is error:
                raise
            raise translated from error
        finally:
            driver.rollback()
            if connection.in_transaction():
                connection.rollback()

    def _drain(self) -> None:
        """Run one batch; the loop gets its turn before the next."""
        self._scheduled = False
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        units = self._queue.take()
        if not units:
            return
        try:
            # savepoints copy every page that a unit touches: only once a unit has failed late
            ran, batch = run_queue(self._session, self._journal, self._clock, units, isolate=False)
        except Spoiled as spoiled:
            refuse(units, spoiled.error)
        except BaseException as error:
            refuse(units, error)
            raise
        else:
            self._queue.put_back(units[len(ran) :])
            answer(ran)
            self._publish(batch, self._journal.sequence)
        if self._queue and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._drain)
