"""When to read and repaint: at most twice a second, and not at all when it would be in the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

FOCUSED_SECONDS = 0.5
BLURRED_SECONDS = 5.0
CLOCK_SECONDS = 1.0
STATUS_SECONDS = 10.0
STALE_AFTER_MISSES = 3


@dataclass
class Refresh:
    """One scheduler for the whole console; times are seconds of a steady clock.

    `pending` tells whether the terminal has not yet taken what was last written: then nothing
    is added, so keys stay quick on a slow link.
    """

    pending: Callable[[], bool]
    focused: bool = True
    paused: bool = False
    misses: int = 0
    skipped: int = 0
    read_at: float | None = None
    _last: float = field(default=float("-inf"))
    _clock: float = field(default=float("-inf"))

    @property
    def interval(self) -> float:
        """Seconds between refreshes as things are."""
        return FOCUSED_SECONDS if self.focused else BLURRED_SECONDS

    def due(self, now: float) -> bool:
        """Whether to refresh now; a yes starts the next interval."""
        if now - self._last < self.interval * 0.9:
            return False
        if self.pending():
            self.skipped += 1
            return False
        self._last = now
        return True

    def clock_due(self, now: float) -> bool:
        """Whether to let times tick now: once a second, rarely when nobody looks."""
        every = CLOCK_SECONDS if self.focused else BLURRED_SECONDS
        if now - self._clock < every * 0.9:
            return False
        self._clock = now
        return True

    def succeeded(self, now: float) -> None:
        """Note that the data on the screen is of now."""
        self.read_at, self.misses = now, 0

    def failed(self) -> None:
        """Note that a read did not succeed."""
        self.misses += 1

    @property
    def stale(self) -> bool:
        """Whether so many reads failed in a row that the screen cannot be trusted."""
        return self.misses > STALE_AFTER_MISSES

    def age(self, now: float) -> int | None:
        """Whole seconds since data was last read; None before the first time."""
        return None if self.read_at is None else max(0, int(now - self.read_at))
