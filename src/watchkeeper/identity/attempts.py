"""How often somebody may try to log in."""

from __future__ import annotations

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import TooMany

PER_PERSON = 20
PER_PLANE = 200
_WINDOW_US = 60 * MICROSECONDS


class Attempts:
    """Counts attempts by name and altogether, in windows of a minute; of one plane."""

    def __init__(self) -> None:
        self._window = 0
        self._counts: dict[str, int] = {}
        self._total = 0

    def check(self, name: str, now: int) -> None:
        """Count one attempt; raise `TooMany` beyond what a minute allows. `now` in µs."""
        window = now // _WINDOW_US
        if window != self._window:
            self._window, self._counts, self._total = window, {}, 0
        # the names are bounded by how many attempts a minute has
        mine = self._counts.get(name, 0)
        if mine >= PER_PERSON or self._total >= PER_PLANE:
            raise TooMany(
                "too many logins were tried this minute",
                rule="identity/login-attempts",
                remedy="wait a minute and try again",
            )
        self._counts[name] = mine + 1
        self._total += 1
