"""Light decisions wait a few seconds before they are sent, so that they can be taken back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

Run = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Waiting:
    """One thing that is not sent yet; `at` in seconds of a steady clock."""

    key: str
    words: str
    at: float
    run: Run


class WaitingRoom:
    """Holds what can still be undone. Nothing leaves it by itself: `due` hands it out."""

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}

    def add(self, waiting: Waiting) -> None:
        """Hold one; a newer one for the same key takes its place."""
        self._waiting[waiting.key] = waiting

    def due(self, now: float) -> list[Waiting]:
        """Hand out what has waited long enough."""
        return self._take([w for w in self._waiting.values() if w.at <= now])

    def flush(self) -> list[Waiting]:
        """Hand out everything at once."""
        return self._take(list(self._waiting.values()))

    def undo(self) -> Waiting | None:
        """Take back what was added last; None if nothing waits."""
        if not self._waiting:
            return None
        return self._waiting.popitem()[1]

    @property
    def keys(self) -> Collection[str]:
        """The keys of what waits."""
        return self._waiting.keys()

    def words(self, now: float) -> str:
        """Say what waits and for how long."""
        if not self._waiting:
            return ""
        newest = list(self._waiting.values())[-1]
        left = max(0, round(newest.at - now + 0.499))
        more = f" and {len(self._waiting) - 1} more" if len(self._waiting) > 1 else ""
        return f"{left} s: u takes back, enter sends: {newest.words}{more}"

    def __len__(self) -> int:
        return len(self._waiting)

    def _take(self, found: list[Waiting]) -> list[Waiting]:
        for waiting in found:
            del self._waiting[waiting.key]
        return found
