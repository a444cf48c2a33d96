"""Whether keys come from hands: a paste that says nothing of itself must decide nothing."""

from __future__ import annotations

from collections import deque

FLOOD_KEYS, FLOOD_SECONDS = 12, 0.5
"""So many different keys in so short a time are pasted, whether or not the terminal says so."""
PAUSE_SECONDS = 0.1
"""What comes after a pause as long begins anew: pasted keys come on each other's heels."""


class Hands:
    """Watches how fast keys come."""

    def __init__(self) -> None:
        self._last = ""
        self._at = 0.0
        self._came: deque[float] = deque(maxlen=FLOOD_KEYS)

    def press(self, key: str, at: float) -> None:
        """Note a key at a time in seconds; one held down repeats, which hands may do."""
        if at - self._at > PAUSE_SECONDS:
            self._came.clear()
        if key != self._last:
            self._came.append(at)
        self._last, self._at = key, at

    def why_not(self) -> str | None:
        """Say why what was just pressed cannot be meant, once; None if it can."""
        came = self._came
        if len(came) == FLOOD_KEYS and came[-1] - came[0] < FLOOD_SECONDS:
            came.clear()
            return "keys came faster than hands type, as a paste does; press again"
        return None
