"""The store: units of work in, durable answers out; reads; the feed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, Self, TypeVar

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from watchkeeper.core.clock import Clock
from watchkeeper.core.errors import Invalid
from watchkeeper.store.feed import Feed, Publish, Subscription
from watchkeeper.store.journal import SELECT_AFTER, Event, event_from_row, revealed
from watchkeeper.store.marks import commits
from watchkeeper.store.transaction import Transaction
from watchkeeper.store.vault import Vault

T = TypeVar("T")


class Engine(Protocol):
    """What SQLite and PostgreSQL each do in their own way."""

    head: int
    vault: Vault

    async def write(
        self, unit: Callable[[Transaction], T], patience: float = 0, durable: bool = True
    ) -> T:
        """Queue a unit and return its value once durable, or once committed."""
        ...

    async def read(self, query: Callable[[Transaction], T]) -> T:
        """Run a short query in a read-only snapshot."""
        ...

    async def scan(self, query: Callable[[Transaction], T]) -> T:
        """Run a long query in a read-only snapshot, away from the event loop."""
        ...

    async def scrub(self) -> bool:
        """Leave nothing in files of what was deleted or changed, as far as that can be done."""
        ...

    async def close(self) -> None:
        """Finish what is queued and close the connections."""

    def publish_to(self, publish: Publish) -> None:
        """Hand committed events and the ledger's head to ``publish``."""


class Store:
    """One plane's database. Use it on the event loop that opened it."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self.clock = clock
        self._engine = engine
        self._feed = Feed(engine.head, self._read_after)
        engine.publish_to(self._feed.publish)

    @classmethod
    async def open(cls, url: str, clock: Clock, *, migrate: bool = True) -> Self:
        """Open ``sqlite:///path`` or ``postgresql://...`` and bring its schema up to date.

        Raises :class:`Invalid` for another URL, ``Unavailable`` if the database cannot be
        reached, ``Conflict`` if its schema is newer than this program or another plane
        holds it.
        """
        try:
            parsed = make_url(url)
        except ArgumentError:
            parsed = None
        backend = parsed.get_backend_name() if parsed else None
        engine: Engine
        if backend == "sqlite" and parsed and parsed.database not in (None, "", ":memory:"):
            from watchkeeper.store.sqlite_engine import SqliteEngine

            engine = await SqliteEngine.open(parsed, clock, migrate=migrate)
        elif backend == "postgresql" and parsed:
            from watchkeeper.store.postgres_engine import PostgresEngine

            engine = await PostgresEngine.open(parsed, clock, migrate=migrate)
        else:
            raise Invalid(
                "not a database that Watchkeeper can use",
                where="database URL",
                remedy="give sqlite:///path/to/file or postgresql://user@host/name",
            )
        return cls(engine, clock)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    @property
    def vault(self) -> Vault:
        """What keeps personal data out of the ledger."""
        return self._engine.vault

    @property
    def head(self) -> int:
        """The sequence of the last committed event; 0 if there is none."""
        return self._feed.head

    async def write(
        self, unit: Callable[[Transaction], T], *, patience: float = 0, durable: bool = True
    ) -> T:
        """Run ``unit`` in the next batch and return its value once that is durable.

        With ``patience`` it may wait so many seconds for others to be made durable with; a
        read sees it all the same. What is not to be ``durable`` by itself is so once a later
        unit is: until then it outlasts the plane's end, not the machine's. It records no event.

        All that the unit did is undone if it raises; its own exception comes back, errors
        of the database as ``Conflict``, ``Invalid`` or ``Unavailable``. A unit may be run
        again, so it must not touch anything outside. Cancelled while it still waits, it
        is not run. Raises a ``WatchkeeperError`` with code ``unrecorded_change`` if it
        changed rows without an event and did not call ``tx.silent``.
        """
        return await self._engine.write(unit, patience, durable)

    async def read(self, query: Callable[[Transaction], T]) -> T:
        """Run a short query (up to some hundred rows) in a read-only snapshot."""
        return await self._engine.read(query)

    async def scan(self, query: Callable[[Transaction], T]) -> T:
        """Run a long query in a read-only snapshot without holding up the event loop."""
        return await self._engine.scan(query)

    def subscribe(self, after: int | None = None) -> Subscription:
        """Return the committed events after a sequence (default: from now on), in order."""
        return Subscription(self._feed, self._feed.head if after is None else after, self._reveal)

    async def scrub(self) -> bool:
        """Leave nothing in the store's files of what was deleted or changed; False: not now.

        On PostgreSQL no query finds it any more; bytes of it stay in pages until these are
        written anew, and archives of its log keep it.
        """
        return await self._engine.scrub()

    async def close(self) -> None:
        """Commit what is queued, end the subscriptions, close the connections."""
        try:
            await self._engine.close()
        finally:
            self._feed.close()

    async def _reveal(self, batch: list[Event]) -> list[Event]:
        if any(commits(event.body_text) for event in batch):
            return await self.read(lambda tx: revealed(tx, batch))
        return batch

    async def _read_after(self, position: int, limit: int) -> list[Event]:
        rows = await self.read(lambda tx: SELECT_AFTER.all(tx, after=position, limit=limit))
        return [event_from_row(row) for row in rows]
