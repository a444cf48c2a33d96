"""Due timers of the store, run one by one in the order they were due."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Unavailable
from watchkeeper.store import timers
from watchkeeper.store.store import Store
from watchkeeper.store.timers import Handler, Timer

_LOG = logging.getLogger("watchkeeper.plane.timers")
_FIRST_RETRY_SECONDS = 2
_LONGEST_RETRY_SECONDS = 300


class StoredTimers:
    """Claims due timers in bounded batches; each runs in its own unit of work.

    A timer whose handler fails is put off, longer each time, and holds up no other.
    """

    def __init__(self, store: Store, handlers: Mapping[str, Handler]) -> None:
        self._store = store
        self._handlers = handlers

    async def next_due(self) -> int | None:
        """Return when the next timer is due, in microseconds, or None."""
        return await self._store.read(timers.next_due)

    async def run_due(self, limit: int) -> int:
        """Run up to `limit` due timers, oldest first; return how many ran.

        Raises `Unavailable` when the store cannot be written; they stay due.
        """
        now = self._store.clock.now()
        batch = await self._store.read(lambda tx: timers.due(tx, now, limit))
        # queued together and in order, they share commits without sharing failures
        outcomes = await asyncio.gather(
            *(self._run(timer) for timer in batch), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return len(batch)

    async def _run(self, timer: Timer) -> None:
        try:
            await self._store.write(lambda tx: timers.fire(tx, timer, self._handlers))
        except Unavailable:
            raise
        except Exception:
            _LOG.exception("timer %s of %s failed; it is tried again", timer.kind, timer.ref)
            pause = min(_FIRST_RETRY_SECONDS << min(timer.attempts, 16), _LONGEST_RETRY_SECONDS)
            await self._store.write(
                lambda tx: timers.postpone(tx, timer, tx.now + pause * MICROSECONDS)
            )
