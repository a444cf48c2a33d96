"""How busy the taking of telemetry is."""

from __future__ import annotations

from collections import Counter, deque

from watchkeeper.core.clock import MICROSECONDS

MOST_IN_HAND = 32
"""Requests that wait or are being kept."""
MOST_OF_ONE = 16
"""Of these, of one agent."""
WINDOW_SECONDS = 60
"""Of the rate."""


class Meter:
    """Requests in hand, those that were told to come again, and the spans of the last minute."""

    def __init__(self) -> None:
        self._of: Counter[str] = Counter()
        self._taken: deque[tuple[int, int]] = deque()
        self.turned_away = 0
        """Requests that found too many before them."""
        self.broken_off = 0
        """Requests whose reading ended before they were kept."""

    @property
    def in_hand(self) -> int:
        """Requests that wait or are being kept."""
        return self._of.total()

    def in_hand_of(self, agent: str) -> int:
        """Of these, those of one agent."""
        return self._of[agent]

    def begin(self, agent: str) -> None:
        """Take a request in hand."""
        self._of[agent] += 1

    def end(self, agent: str) -> None:
        """Be done with a request."""
        self._of[agent] -= 1
        if not self._of[agent]:
            del self._of[agent]

    def took(self, spans: int, now: int) -> None:
        """Count spans that were kept."""
        second = now // MICROSECONDS
        if self._taken and self._taken[-1][0] == second:
            spans += self._taken.pop()[1]
        self._taken.append((second, spans))
        self._forget(second)

    def per_second(self, now: int) -> float:
        """Return how many spans a second were kept over the last minute."""
        self._forget(now // MICROSECONDS)
        return sum(spans for _, spans in self._taken) / WINDOW_SECONDS

    def _forget(self, second: int) -> None:
        while self._taken and self._taken[0][0] <= second - WINDOW_SECONDS:
            self._taken.popleft()
