"""The sweeper: runs timers when they are due, in order, also after the plane was down."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from watchkeeper.core.clock import MICROSECONDS, Clock

_LOG = logging.getLogger("watchkeeper.plane.sweeper")

BATCH = 200
"""Timers claimed in one transaction."""
_SHORTEST_SECONDS = 0.01
_LONGEST_SECONDS = 30.0
_RETRY_SECONDS = 1.0


class Timers(Protocol):
    """Where timers are stored."""

    async def next_due(self) -> int | None:
        """Return when the next timer is due, in microseconds, or None."""
        ...

    async def run_due(self, limit: int) -> int:
        """Run up to ``limit`` due timers, oldest first; return how many ran."""
        ...


class Sweeper:
    """Sleeps to the next due timer; a commit or a moved clock wakes it at once."""

    def __init__(self, timers: Timers, clock: Clock) -> None:
        self._timers = timers
        self._clock = clock
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin sweeping on the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="sweeper")

    def wake(self) -> None:
        """Look again now: a timer was written, or the clock moved."""
        self._wake.set()

    async def stop(self) -> None:
        """Finish the batch at hand and end."""
        if self._task is None:
            return
        task, self._task = self._task, None
        self._wake.set()
        await task

    async def sweep(self) -> int:
        """Run everything due now; return how many timers ran."""
        ran = 0
        while count := await self._timers.run_due(BATCH):
            ran += count
            await asyncio.sleep(0)
        return ran

    async def _run(self) -> None:
        while self._task is not None:
            self._wake.clear()
            try:
                await self.sweep()
                pause = self._pause(await self._timers.next_due())
            except Exception:
                _LOG.exception("sweeping failed; due timers stay due")
                pause = _RETRY_SECONDS
            try:
                await asyncio.wait_for(self._wake.wait(), pause)
            except TimeoutError:
                continue

    def _pause(self, due_at: int | None) -> float:
        if due_at is None:
            return _LONGEST_SECONDS
        seconds = (due_at - self._clock.now()) / MICROSECONDS
        return min(max(seconds, _SHORTEST_SECONDS), _LONGEST_SECONDS)
