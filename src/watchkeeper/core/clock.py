"""Time: integer microseconds since the Unix epoch, UTC, from one source."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable

from watchkeeper.core.errors import Invalid

MICROSECONDS = 1_000_000
LAST_AT = 253_402_300_799 * MICROSECONDS  # the end of the year 9999


@runtime_checkable
class Clock(Protocol):
    """Anything that tells the time."""

    def now(self) -> int:
        """Return microseconds since the Unix epoch, UTC."""
        ...


class SystemClock:
    """The wall clock of this machine, which never goes back as long as this object lives.

    Where somebody sets it back, time goes on from the latest reading at its own pace: what is
    good for five minutes gets no second five. Set forward, it is followed at once.
    """

    def __init__(self) -> None:
        self._ahead = 0

    def now(self) -> int:
        """Return microseconds since the Unix epoch, UTC."""
        # in this order, so that a pause between the two never counts as time
        wall = time.time_ns()
        steady = time.monotonic_ns()
        self._ahead = max(self._ahead, wall - steady)
        return (steady + self._ahead) // 1000


class RehearsalClock:
    """A clock that people may move forward, never back.

    It runs ``offset`` microseconds ahead of the wall clock; when ``frozen`` it stands
    still between calls of :meth:`advance`. ``start`` sets the first reading instead.
    """

    def __init__(self, offset: int = 0, *, frozen: bool = False, start: int | None = None) -> None:
        if offset < 0:
            raise Invalid("a rehearsal clock cannot run behind the wall clock", where="offset")
        self._wall = SystemClock()
        wall = self._wall.now()
        self.frozen = frozen
        self._offset = offset if start is None else start - wall
        self._reading = wall + self._offset
        self._listeners: list[Callable[[int], None]] = []

    def now(self) -> int:
        """Return microseconds since the Unix epoch, UTC; never less than before."""
        if not self.frozen:
            self._reading = max(self._reading, self._wall.now() + self._offset)
        return self._reading

    def advance(self, seconds: float) -> int:
        """Move forward by ``seconds``, tell the listeners, and return the new time.

        Raises :class:`Invalid` for a negative step.
        """
        if not seconds >= 0:
            raise Invalid(
                f"cannot move the clock by {seconds} s",
                where="seconds",
                remedy="give zero or a positive number of seconds",
            )
        step = round(seconds * MICROSECONDS)
        at = self.now() + step
        if at > LAST_AT:
            raise Invalid("cannot move the clock beyond the year 9999", where="seconds")
        self._offset += step
        self._reading = at
        for listener in tuple(self._listeners):
            listener(at)
        return at

    def on_advance(self, listener: Callable[[int], None]) -> Callable[[], None]:
        """Call ``listener(now)`` after each step; the returned function ends that."""
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end


def utc_text(at: int) -> str:
    """Write a time as ``2026-11-20T19:04:31Z`` (whole seconds, rounded down)."""
    return datetime.fromtimestamp(at // MICROSECONDS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
