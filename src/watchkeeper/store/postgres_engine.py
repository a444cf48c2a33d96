"""The writer on PostgreSQL: one connection, batches in order, the loop free meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Self, TypeVar

from sqlalchemy import exc
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from watchkeeper.core.clock import Clock
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.store.batch import Spoiled, Unit, run_queue, translate, unavailable
from watchkeeper.store.journal import Event, Journal
from watchkeeper.store.migrations import migrate as migrate_schema
from watchkeeper.store.postgres import PostgresSession
from watchkeeper.store.queue import Queue, answer, refuse
from watchkeeper.store.transaction import Transaction

T = TypeVar("T")
READERS = 4
CONNECT_SECONDS = 10


class PostgresEngine:
    """One PostgreSQL database: a writer's connection that holds the lock, and readers."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._readers = engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._clock = clock
        self._journal = Journal()
        self._queue = Queue()
        self._writer: tuple[AsyncConnection, PostgresSession] | None = None
        self._task: asyncio.Task[None] | None = None
        self._publish: Callable[[list[Event]], None] = lambda batch: None
        self.head = 0

    @classmethod
    async def open(cls, url: URL, clock: Clock, *, migrate: bool) -> Self:
        """Connect, take the writer's lock, and bring the schema up to date."""
        engine = create_async_engine(
            url.set(drivername="postgresql+asyncpg"),
            pool_size=READERS + 1,
            max_overflow=0,
            pool_pre_ping=True,
            connect_args={"timeout": CONNECT_SECONDS},
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

    def publish_to(self, publish: Callable[[list[Event]], None]) -> None:
        """Hand committed events to ``publish``."""
        self._publish = publish

    async def write(self, unit: Callable[[Transaction], T]) -> T:
        """Queue a unit and return its value once durable."""
        future = self._queue.put(unit)
        if self._task is None:
            self._task = asyncio.create_task(self._drain(), name="store-writer")
        value: T = await future
        return value

    async def read(self, query: Callable[[Transaction], T]) -> T:
        """Run a query in a read-only snapshot on a connection of the pool."""
        now = self._clock.now()
        async with self._storage_errors(), self._readers.connect() as connection:
            return await connection.run_sync(lambda c: query(Transaction(c, None, now, None)))

    async def scan(self, query: Callable[[Transaction], T]) -> T:
        """Run a long query; it waits for the server at each statement, so as a read."""
        return await self.read(query)

    async def close(self) -> None:
        """Commit what is queued and close the connections."""
        if self._queue.closed:
            return
        self._queue.closed = True
        if self._task is not None:
            await self._task
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
            if not await self._was_committed(spoiled):
                refuse(units, spoiled.error)
                return
            ran, batch = spoiled.ran, spoiled.batch
        except (exc.SQLAlchemyError, OSError, WatchkeeperError) as error:
            await self._disconnect()
            refuse(units, error)
            return
        self._queue.put_back(units[len(ran) :])
        answer(ran)
        if batch:
            self._publish(batch)

    async def _run_sync(self, function: Callable[[], T]) -> T:
        assert self._writer is not None
        return await self._writer[0].run_sync(lambda _: function())

    async def _was_committed(self, spoiled: Spoiled) -> bool:
        """Ask the server, if the connection broke while it was told to commit."""
        if not spoiled.committing or not spoiled.batch:
            return False
        try:
            await self._connect()
        except (exc.SQLAlchemyError, OSError, WatchkeeperError):
            await self._disconnect()
            return False
        return self._journal.chain.hex() == spoiled.batch[-1].chain_hash

    async def _connect(
        self, prepare: Callable[..., object] | None = None
    ) -> tuple[AsyncConnection, PostgresSession]:
        connection = await self._engine.connect()
        session = PostgresSession(connection.sync_connection)  # type: ignore[arg-type]
        self._writer = (connection, session)
        await self._run_sync(session.take_lock)
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
