"""Committed events in order, to any number of readers, in bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise

from watchkeeper.store.journal import Event

RECENT_EVENTS = 8192
EVENTS_AT_ONCE = 512

Reveal = Callable[[list[Event]], Awaitable[list[Event]]]
Publish = Callable[[list[Event], int], None]
ReadAfter = Callable[[int, int], Awaitable[list[Event]]]


class Feed:
    """Keeps the latest events for all readers; who is further behind reads the store."""

    def __init__(self, head: int, read_after: ReadAfter) -> None:
        self.head = head
        self.closed = False
        self._recent: list[Event] = []
        self._read_after = read_after
        self._waiting: set[asyncio.Future[None]] = set()

    def publish(self, batch: list[Event], head: int) -> None:
        """Hand on a committed batch, which is in order, up to the ledger's ``head``."""
        if head <= self.head:
            return
        if not batch or batch[0].sequence != self.head + 1:
            self._recent.clear()  # events came another way: readers ask the store
        self._recent.extend(batch)
        if len(self._recent) > 2 * RECENT_EVENTS:
            del self._recent[:-RECENT_EVENTS]
        self.head = head
        self._wake()

    def close(self) -> None:
        """End every subscription."""
        self.closed = True
        self._wake()

    async def after(self, position: int) -> list[Event]:
        """Return the next events after ``position``, waiting for one; empty when closed."""
        while True:
            first = self._recent[0].sequence if self._recent else self.head + 1
            if first <= position + 1 <= self.head:
                start = position + 1 - first
                return self._recent[start : start + EVENTS_AT_ONCE]
            if self.closed:
                return []
            if position < self.head:
                batch = await self._read_after(position, EVENTS_AT_ONCE)
                assert all(a.sequence < b.sequence for a, b in pairwise(batch))
                if batch:
                    return batch
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(waiter)
            try:
                await waiter
            finally:
                self._waiting.discard(waiter)

    def _wake(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)


class Subscription(AsyncIterator[list[Event]]):
    """Every event after ``position``, in order, none lost and none twice, as readers see it.

    However slow the reader is: it holds a number only, and catches up from the store.
    Ends when the store closes.
    """

    def __init__(self, feed: Feed, position: int, reveal: Reveal) -> None:
        self._feed = feed
        self._reveal = reveal
        self.position = position

    async def __anext__(self) -> list[Event]:
        """Return the next events, at least one and at most 512."""
        batch = await self._feed.after(self.position)
        if not batch:
            raise StopAsyncIteration
        batch = await self._reveal(batch)
        self.position = batch[-1].sequence
        return batch
