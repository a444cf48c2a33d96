"""What the plane holds in memory, read again when its record may have changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from watchkeeper.core.errors import WatchkeeperError

_LOG = logging.getLogger(__name__)


class Refreshing:
    """Reads something again beside what else is done: once more for all that asked meanwhile."""

    def __init__(self, what: str, read: Callable[[], Awaitable[None]]) -> None:
        self._what = what
        self._read = read
        self._task: asyncio.Task[None] | None = None
        self._stale = False

    def begin(self) -> None:
        """Read it again: another plane may have changed something."""
        self._stale = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name=self._what)

    async def stop(self) -> None:
        """Let go of what is still being read."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._stale:
            self._stale = False
            try:
                await self._read()
            except WatchkeeperError as error:
                _LOG.warning("%s can't be read, which leaves those known: %s", self._what, error)
                return
