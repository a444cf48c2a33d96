"""Callers that wait for a request to be decided."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

DECIDED = frozenset(
    {"request.approved", "request.denied", "request.expired", "request.revoked", "request.lapsed"}
)
"""The events after which a waiting caller asks again."""


class Waiting:
    """Wakes callers by request; fed with committed events."""

    def __init__(self) -> None:
        self._events: dict[str, set[asyncio.Event]] = {}

    async def wait(self, request: str, seconds: float) -> bool:
        """Wait until the request is decided or `seconds` have passed; tell which."""
        event = asyncio.Event()
        waiters = self._events.setdefault(request, set())
        waiters.add(event)
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return False
        finally:
            waiters.discard(event)
            if not waiters:
                self._events.pop(request, None)
        return True

    def wake(self, requests: Iterable[str]) -> None:
        """Wake who waits for any of these requests."""
        for request in requests:
            for event in self._events.get(request, ()):
                event.set()

    def wake_all(self) -> None:
        """Wake everybody: a lock came into force, or the plane stops."""
        for request in tuple(self._events):
            self.wake((request,))
