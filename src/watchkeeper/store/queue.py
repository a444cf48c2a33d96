"""Units that wait for the writer, and how they are answered."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from watchkeeper.core.errors import Unavailable
from watchkeeper.store.batch import LARGEST_BATCH, Unit, first_line, unavailable
from watchkeeper.store.transaction import Transaction

LONGEST_QUEUE = 20_000
_log = logging.getLogger(__name__)


class Queue:
    """Units that wait for the next batch."""

    def __init__(self) -> None:
        self._units: deque[Unit] = deque()
        self.closed = False

    def __bool__(self) -> bool:
        return bool(self._units)

    def check_open(self) -> None:
        """Raise :class:`Unavailable` if the store is closed."""
        if self.closed:
            raise Unavailable("the store is closed", code="store_closed")

    def put(
        self, call: Callable[[Transaction], Any], *, durable: bool = True
    ) -> asyncio.Future[Any]:
        """Add a unit; raise :class:`Unavailable` if the store is closed or far behind."""
        self.check_open()
        if len(self._units) >= LONGEST_QUEUE:
            raise Unavailable(
                f"{LONGEST_QUEUE} units of work wait for the store",
                code="store_busy",
                remedy="try again in a moment",
            )
        unit = Unit(call, asyncio.get_running_loop().create_future(), durable)
        self._units.append(unit)
        return unit.future

    def take(self) -> list[Unit]:
        """Remove and return the next units, without those nobody waits for any more."""
        taken: list[Unit] = []
        while self._units and len(taken) < LARGEST_BATCH:
            unit = self._units.popleft()
            if not unit.future.done():
                taken.append(unit)
        return taken

    def put_back(self, units: Sequence[Unit]) -> None:
        """Return units that were taken and not run, in front."""
        self._units.extendleft(reversed(units))


def answer(units: Sequence[Unit]) -> None:
    """Tell who waits how their units ended, and run the callbacks of those that did well."""
    for unit in units:
        if unit.future.done():
            continue
        if unit.error is None:
            unit.future.set_result(unit.value)
        else:
            unit.future.set_exception(unit.error)
    for unit in units:
        if unit.error is None:
            for callback in unit.callbacks:
                try:
                    callback()
                except Exception:
                    _log.exception("a callback after a commit failed")


def refuse(units: Sequence[Unit], error: BaseException, *, unknown: bool = False) -> None:
    """Tell everyone in a lost batch that nothing was done, or that nobody knows."""
    _log.error("a batch of %d units was lost: %s", len(units), first_line(error))
    for unit in units:
        if not unit.future.done():
            unit.future.set_exception(unavailable(error, unknown=unknown))
