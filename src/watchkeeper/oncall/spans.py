"""Things that hold for a time each, found by time without looking at all of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Generic, TypeVar

from watchkeeper.core.errors import Invalid
from watchkeeper.core.wall import NEVER

T = TypeVar("T")


class Spans(Generic[T]):
    """Values with start and end (microseconds); those of one moment come in the order given.

    Raises :class:`Invalid` where more than `most` hold at once.
    """

    __slots__ = ("_bounds", "_held", "last")

    def __init__(self, spans: Iterable[tuple[int, int, T]], *, most: int = 1000) -> None:
        known = [span for span in spans if span[0] < span[1]]
        self.last = max((end for _, end, _ in known), default=0)
        """The end of the last one."""
        starts: dict[int, list[int]] = {}
        ends: dict[int, list[int]] = {}
        for number, (start, end, _) in enumerate(known):
            starts.setdefault(start, []).append(number)
            ends.setdefault(end, []).append(number)
        self._bounds = sorted(starts.keys() | ends.keys())
        self._held: list[tuple[T, ...]] = [()]
        active: set[int] = set()
        for bound in self._bounds:
            active.difference_update(ends.get(bound, ()))
            active.update(starts.get(bound, ()))
            if len(active) > most:
                raise Invalid(f"more than {most} overlap", remedy="let fewer overlap")
            self._held.append(tuple(known[number][2] for number in sorted(active)))

    def at(self, moment: int) -> tuple[tuple[T, ...], int]:
        """Return what holds at a moment, and until when nothing about that changes."""
        index = bisect_right(self._bounds, moment)
        until = self._bounds[index] if index < len(self._bounds) else NEVER
        return self._held[index], until

    def values(self) -> set[T]:
        """Return every value that holds at some time."""
        return {value for held in self._held for value in held}

    def __bool__(self) -> bool:
        return bool(self._bounds)
