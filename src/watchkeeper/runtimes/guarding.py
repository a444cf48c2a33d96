"""What is told to a runtime only as long as no lock covers it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from watchkeeper.decide.gates.kill import forbidden
from watchkeeper.decide.service import Decider
from watchkeeper.kill.model import Covered, LockInForce
from watchkeeper.kill.rules import covering

T = TypeVar("T")


class Guard:
    """Cuts what is being told as a lock that covers it comes into force."""

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self._under_way: dict[asyncio.Task[Any], Sequence[Covered]] = {}
        self._cut: dict[asyncio.Task[Any], LockInForce] = {}

    async def carry(
        self, covered: Sequence[Covered], work: Callable[[], Coroutine[Any, Any, T]]
    ) -> T:
        """Do some work that no lock may cover; return what it returns.

        Raises `Forbidden` where one does. If that came into force while the work was under way,
        nothing more of it goes out, and nobody knows what has arrived.
        """
        self._decider.check_switch()
        lock = self._lock_over(covered)
        if lock is not None:
            raise forbidden(lock)
        # nothing is awaited between this look and its being known here
        task = asyncio.get_running_loop().create_task(work())
        self._under_way[task] = covered
        try:
            return await task
        except asyncio.CancelledError:
            cut = self._cut.get(task)
            mine = asyncio.current_task()
            if cut is None or (mine is not None and mine.cancelling()):
                raise
            raise forbidden(cut) from None
        finally:
            del self._under_way[task]
            self._cut.pop(task, None)

    def follow_locks(self) -> None:
        """Cut what the locks cover that are in force now."""
        for task, covered in self._under_way.items():
            lock = self._lock_over(covered)
            if lock is not None and task not in self._cut:
                self._cut[task] = lock
                task.cancel()

    def _lock_over(self, covered: Sequence[Covered]) -> LockInForce | None:
        locks = self._decider.locks
        return next((lock for one in covered if (lock := covering(locks, one))), None)
