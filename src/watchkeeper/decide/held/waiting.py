"""Callers that wait for a request to be decided."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable

from watchkeeper.core.clock import MICROSECONDS, Clock, RehearsalClock

DECIDED = frozenset(
    {
        "request.approved",
        "request.denied",
        "request.expired",
        "request.revoked",
        "request.cancelled",
        "request.lapsed",
        "request.superseded",
        "request.covered",
    }
)
"""The events after which a waiting caller asks again."""
_REMEMBERED = 4096


class Waiting:
    """Wakes callers by request; fed with committed events."""

    def __init__(self, clock: Clock) -> None:
        self._events: dict[str, set[asyncio.Event]] = {}
        self._clock = clock
        self._ticks: set[asyncio.Event] = set()
        self.turn = 0
        """Rises whenever somebody is woken."""
        self._woken: OrderedDict[str, int] = OrderedDict()
        self._all_woken = 0
        self.closed = False
        """The plane stops: who waits is answered, and nobody waits any more."""
        self._rehearsed = isinstance(clock, RehearsalClock)
        if isinstance(clock, RehearsalClock):
            clock.on_advance(lambda now: self._tick())

    @property
    def callers(self) -> int:
        """How many wait now."""
        return sum(map(len, self._events.values()))

    async def wait(self, request: str, seconds: float, since: int | None = None) -> bool:
        """Wait until the request is decided or `seconds` have passed; tell which.

        `since`: the `turn` at which the caller began to ask: who was woken after it, before it
        waited, does not wait. Under a rehearsal clock seconds pass as that clock says.
        """
        if since is not None and max(self._woken.get(request, 0), self._all_woken) > since:
            return True
        event = asyncio.Event()
        waiters = self._events.setdefault(request, set())
        waiters.add(event)
        try:
            return await self._until(event, seconds)
        finally:
            waiters.discard(event)
            if not waiters:
                self._events.pop(request, None)

    def waits(self, request: str) -> bool:
        """Tell whether anybody waits for a request now."""
        return request in self._events

    def wake(self, requests: Iterable[str]) -> None:
        """Wake who waits for any of these requests."""
        self.turn += 1
        for request in requests:
            self._woken[request] = self.turn
            self._woken.move_to_end(request)
            for event in self._events.get(request, ()):
                event.set()
        while len(self._woken) > _REMEMBERED:
            # of those nothing is known any more: whoever may be meant asks again
            self._all_woken = max(self._all_woken, self._woken.popitem(last=False)[1])

    def wake_all(self) -> None:
        """Wake everybody: a lock came into force, and whom it does not concern waits on."""
        self.wake(tuple(self._events))
        self._all_woken = self.turn

    def close(self) -> None:
        """Have everybody answered: the plane stops."""
        self.closed = True
        self.wake_all()

    async def _until(self, event: asyncio.Event, seconds: float) -> bool:
        until = self._clock.now() + seconds * MICROSECONDS
        left = seconds
        while left > 0:
            tick = asyncio.Event() if self._rehearsed else event
            waits = [asyncio.ensure_future(one.wait()) for one in {event, tick}]
            self._ticks.add(tick)
            try:
                await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._ticks.discard(tick)
                for wait in waits:
                    wait.cancel()
            if event.is_set() or not self._rehearsed:
                break
            left = (until - self._clock.now()) / MICROSECONDS
        return event.is_set()

    def _tick(self) -> None:
        for tick in self._ticks:
            tick.set()
