"""A plane's view of the locks in force, which what is not decided in a unit of work goes by.

It follows each lock as it is committed. Where it is not known whether one was (the connection to
the database broke at the commit), or the ledger tells of one, it is read from the store anew; while
it should be and cannot be, nothing is permitted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.decide.bounds import in_time
from watchkeeper.decide.service import Decider
from watchkeeper.kill import service as locks
from watchkeeper.kill.model import LockInForce

_LOG = logging.getLogger(__name__)
EVENTS = frozenset({"lock.created", "lock.lifted"})
_AGAIN_SECONDS = 0.5


class InForce:
    """Keeps `Decider.locks` as the store has them."""

    def __init__(
        self,
        decider: Decider,
        come: Callable[[LockInForce], None],
        gone: Callable[[str], None],
    ) -> None:
        """`come` and `gone` are called with each lock that was not in the view, or is no more."""
        self._decider = decider
        self._come = come
        self._gone = gone
        self._turn = 0
        """Rises with every change, so that what was read before one is not taken for the newest."""
        self._asked = False
        self._task: asyncio.Task[None] | None = None

    async def load(self) -> None:
        """Read the locks in force; before the first request is served."""
        self._decider.locks = await self._decider.store.read(locks.locks_in_force)

    def add(self, lock: LockInForce) -> None:
        """Take a lock in that was committed just now."""
        self._turn += 1
        if all(one.lock != lock.lock for one in self._decider.locks):
            self._decider.locks = (*self._decider.locks, lock)
            self._come(lock)

    def drop(self, lock: str) -> None:
        """Let go of a lock whose end was committed just now."""
        self._turn += 1
        before = self._decider.locks
        self._decider.locks = tuple(one for one in before if one.lock != lock)
        if len(self._decider.locks) < len(before):
            self._gone(lock)

    def doubt(self) -> None:
        """Permit nothing until the locks were read anew: one may be in force that is unknown."""
        self._decider.unread = True
        self.follow()

    def follow(self) -> None:
        """Read the locks anew, aside."""
        self._asked = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._read(), name="locks in force")

    async def stop(self) -> None:
        """Follow no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self) -> None:
        while self._asked:
            turn, self._asked = self._turn, False
            try:
                found = await in_time(self._decider.store.read(locks.locks_in_force))
            except Exception as error:  # whatever it is: nothing is permitted until they are read
                said = error if isinstance(error, WatchkeeperError) else repr(error)
                _LOG.error("the locks in force cannot be read, so nothing is permitted: %s", said)
                self._decider.unread = self._asked = True
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            if turn != self._turn:
                self._asked = True
                continue
            for name in {one.lock for one in self._decider.locks} - {one.lock for one in found}:
                self.drop(name)
            for lock in found:
                self.add(lock)
            self._decider.unread = False
