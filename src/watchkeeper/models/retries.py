"""How much may be sent again: retries over the last minute stay within a share of the calls."""

from __future__ import annotations

from watchkeeper.core.clock import MICROSECONDS

_SPAN_US = 10 * MICROSECONDS
_SPANS = 6
_PERCENT = 100


class RetryBudget:
    """The calls of one provider in the last minute, and what of them was sent again."""

    def __init__(self) -> None:
        self._spans: list[list[int]] = []
        """Number of the span, calls, retries; oldest first."""

    def note_call(self, now: int) -> None:
        """Count a call; `now` in microseconds."""
        self._span(now)[1] += 1

    def take(self, now: int, percent: int) -> bool:
        """Count a retry, if there is room for it: at least one a minute, at `percent` 0 none."""
        span = self._span(now)
        calls = sum(one[1] for one in self._spans)
        retries = sum(one[2] for one in self._spans)
        if not percent or retries >= max(1, calls * percent // _PERCENT):
            return False
        span[2] += 1
        return True

    def _span(self, now: int) -> list[int]:
        number = now // _SPAN_US
        if not self._spans or self._spans[-1][0] < number:
            self._spans.append([number, 0, 0])
        while self._spans[0][0] <= number - _SPANS:
            del self._spans[0]
        return self._spans[-1]


def backoff_seconds(attempt: int, base: float, chance: float) -> float:
    """Return how long to wait before an attempt (2: the first retry): twice as long each time,
    of which `chance` (0 to 1) says how much; full jitter keeps callers from coming back at once.
    """
    return base * (1 << (attempt - 2)) * (0.5 + chance / 2)
