"""The writer on PostgreSQL: one connection, batches in order, the loop free meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

from sqlalchemy import exc, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from watchkeeper.core.clock import Clock
from watchkeeper.core.errors import Conflict, WatchkeeperError
from watchkeeper.store.batch import Spoiled, Unit, run_queue, translate, unavailable
from watchkeeper.store.feed import Publish
from watchkeeper.store.journal import Journal
from watchkeeper.store.metadata import metadata
from watchkeeper.store.migrations import migrate as migrate_schema
from watchkeeper.store.postgres import PostgresSession
from watchkeeper.store.queue import Queue, answer, refuse
from watchkeeper.store.transaction import Transaction
from watchkeeper.store.vault import Vault

T = TypeVar("T")
READERS = 4
CONNECT_SECONDS = 10
CLOSE_SECONDS = 5
STATEMENTS = 500  # prepared on each connection
LOCK_SECONDS = 5  # how long the server may take to notice that our old connection is gone
_LOCK_POLL_SECONDS = 0.05


class PostgresEngine:
    """One PostgreSQL database: a writer's connection that holds the lock, and readers."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._readers = engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._clock = clock
        self.vault = Vault()
        self._journal = Journal(self.vault)
        self._queue = Queue()
        self._owed: set[asyncio.Future[Any]] = set()
        self._reads: set[asyncio.Future[Any]] = set()
        self._writer: tuple[AsyncConnection, PostgresSession] | None = None
        self._task: asyncio.Task[None] | None = None
        self._publish: Publish = lambda batch, head: None
        self.head = 0

    @classmethod
    async def open(cls, url: URL, clock: Clock, *, migrate: bool) -> Self:
        """Connect, take the writer's lock, and bring the schema up to date."""
        engine = create_async_engine(
            url.set(drivername="postgresql+asyncpg"),
            pool_size=READERS + 1,
            max_overflow=0,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={"timeout": CONNECT_SECONDS, "statement_cache_size": STATEMENTS},
        )
        self = cls(engine, clock)
        try:
            async with self._storage_errors():
                await self._connect(lambda c: migrate_schema(c, clock.now(), apply=migrate))
        except BaseException:
            await self._disconnect()
            await engine.dispose()
            raise
        self.head = self._journal.sequence
        return self

    def publish_to(self, publish: Publish) -> None:
        """Hand committed events and the ledger's head to ``publish``."""
        self._publish = publish

    async def write(
        self, unit: Callable[[Transaction], T], patience: float = 0, durable: bool = True
    ) -> T:
        """Queue a unit and return its value once durable, or once committed.

        The next batch begins when the last has ended, so none waits for company; but whoever
        did not wait for a unit with ``patience`` still finds it when reading.
        """
        future = self._queue.put(unit, durable=durable)
        if patience:
            self._owed.add(future)
            future.add_done_callback(self._owed.discard)
        if self._task is None:
            self._task = asyncio.create_task(self._drain(), name="store-writer")
        value: T = await future
        return value

    async def read(self, query: Callable[[Transaction], T]) -> T:
        """Run a query in a read-only snapshot on a connection of the pool.

        Whoever is cancelled leaves it to its end: a connection is given back whole, and
        closing waits for that.
        """
        self._queue.check_open()
        reading = asyncio.ensure_future(self._read(query))
        self._reads.add(reading)
        reading.add_done_callback(self._reads.discard)
        return await asyncio.shield(reading)

    async def _read(self, query: Callable[[Transaction], T]) -> T:
        if self._owed:
            await asyncio.wait(tuple(self._owed))
        now = self._clock.now()
        async with self._storage_errors(), self._readers.connect() as connection:
            return await connection.run_sync(
                lambda c: query(Transaction(c, None, now, None, vault=self.vault))
            )

    async def scan(self, query: Callable[[Transaction], T]) -> T:
        """Run a long query; it waits for the server at each statement, so as a read."""
        return await self.read(query)

    async def scrub(self) -> bool:
        """Have the server take what is gone out of its tables, which holds up nobody."""
        listed = ", ".join(f'"{table.name}"' for table in metadata.sorted_tables)
        apart = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        async with self._storage_errors(), apart.connect() as connection:
            await connection.execute(text(f"VACUUM {listed}"))
        return True

    async def close(self) -> None:
        """Commit what is queued and close the connections."""
        if self._queue.closed:
            return
        self._queue.closed = True
        if self._task is not None:
            await self._task
        # a server that does not answer any more must not keep us
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.gather(*self._reads, return_exceptions=True)
                await self._disconnect()
                await self._engine.dispose()

    async def _drain(self) -> None:
        units: list[Unit] = []
        try:
            while units := self._queue.take():
                await self._run(units)
        except BaseException as error:
            refuse(units, error)
            raise
        finally:
            self._task = None

    async def _run(self, units: list[Unit]) -> None:
        try:
            _, session = self._writer or await self._connect()
            ran, batch = await self._run_sync(
                lambda: run_queue(session, self._journal, self._clock, units, isolate=False)
            )
        except Spoiled as spoiled:
            await self._disconnect()
            committed = await self._was_committed(spoiled)
            if not committed:
                refuse(units, spoiled.error, unknown=committed is None)
                return
            ran, batch = spoiled.ran, spoiled.batch
        except (exc.SQLAlchemyError, OSError, WatchkeeperError) as error:
            await self._disconnect()
            refuse(units, error)
            return
        self._queue.put_back(units[len(ran) :])
        answer(ran)
        self._publish(batch, self._journal.sequence)

    async def _run_sync(self, function: Callable[[], T]) -> T:
        assert self._writer is not None
        return await self._writer[0].run_sync(lambda _: function())

    async def _was_committed(self, spoiled: Spoiled) -> bool | None:
        """Ask the server, if the connection broke at a commit; None if it cannot tell."""
        if not spoiled.committing:
            return False
        try:
            # whoever has the lock knows that the old connection has ended, and how
            await self._connect()
        except (exc.SQLAlchemyError, OSError, WatchkeeperError):
            await self._disconnect()
            return None
        if not spoiled.batch:
            return None
        return self._journal.chain.hex() == spoiled.batch[-1].chain_hash

    async def _connect(
        self, prepare: Callable[..., object] | None = None
    ) -> tuple[AsyncConnection, PostgresSession]:
        connection = await self._engine.connect()
        session = PostgresSession(connection.sync_connection)  # type: ignore[arg-type]
        self._writer = (connection, session)
        deadline = asyncio.get_running_loop().time() + (0 if prepare else LOCK_SECONDS)
        while True:
            try:
                await self._run_sync(session.take_lock)
                break
            except Conflict:
                if asyncio.get_running_loop().time() >= deadline:
                    raise
                await asyncio.sleep(_LOCK_POLL_SECONDS)
        if prepare is not None:
            await connection.run_sync(prepare)
            await connection.commit()
        await self._run_sync(lambda: session.load(self._journal))
        return self._writer

    async def _disconnect(self) -> None:
        """Give the writer's connection up; the server then frees the lock."""
        if self._writer is None:
            return
        connection, _ = self._writer
        self._writer = None
        try:
            await connection.invalidate()
        except (exc.SQLAlchemyError, OSError):
            pass
        finally:
            await connection.close()

    @asynccontextmanager
    async def _storage_errors(self) -> AsyncIterator[None]:
        try:
            yield
        except OSError as error:
            raise unavailable(error) from error
        except exc.SQLAlchemyError as error:
            translated = translate(error)
            if translated is error:
                raise
            raise translated from error
