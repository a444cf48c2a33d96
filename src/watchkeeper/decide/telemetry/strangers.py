"""Who sends telemetry with a token of nobody: by address, bounded, and forgotten with the plane.

Whoever sends so is believed in nothing: it makes no row and one entry an hour at most.
"""

from __future__ import annotations

from typing import NamedTuple

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

MOST_SOURCES = 20
"""Addresses that are told apart; all others are one more."""
OTHERS = "(others)"
QUIET_SECONDS = 3600
"""For how long one entry tells of all that come, and how long they are a person's matter."""


class Source(NamedTuple):
    """What came from an address; times in microseconds."""

    source: str
    requests: int
    first_at: int
    last_at: int


class Strangers:
    """Counts requests whose token is nobody's."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sources: dict[str, Source] = {}
        self._told_at: int | None = None
        self.count = 0
        """Since this plane began."""

    async def came(self, source: str) -> None:
        """Count a request; record that some come, unless that was recorded within the hour."""
        now = self._store.clock.now()
        self.count += 1
        self._note(source, now)
        if self._told_at is not None and now - self._told_at < QUIET_SECONDS * MICROSECONDS:
            return
        self._told_at = now
        await self._store.write(lambda tx: _record(tx, source))

    def sources(self) -> list[Source]:
        """Return what came from where, the latest first."""
        return sorted(self._sources.values(), key=lambda one: (-one.last_at, one.source))

    def lately(self, now: int) -> list[Source]:
        """Return those of `sources` that came within the hour."""
        since = now - QUIET_SECONDS * MICROSECONDS
        return [one for one in self.sources() if one.last_at > since]

    def _note(self, source: str, now: int) -> None:
        known = self._sources
        if source not in known and len(known) >= MOST_SOURCES:
            source = OTHERS
        was = known.get(source) or Source(source, 0, now, now)
        known[source] = was._replace(requests=was.requests + 1, last_at=now)


def _record(tx: Transaction, source: str) -> None:
    tx.record(
        "telemetry.refused",
        actor="plane",
        subject="plane/telemetry",
        body={"source": source, "text": words(source)},
    )


def words(source: str) -> str:
    """Say what comes."""
    return f"telemetry comes from {source} with a token of nobody"
