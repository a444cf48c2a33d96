"""Whose turn it is, and in which hours of the week that counts. All times in microseconds.

Hand-overs are times on the wall of a zone, so that 09:00 stays 09:00 when clocks change: a turn
begins at the first moment of its wall time and ends where the next begins, longer or shorter by
what the zone's offset changed.
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal

from watchkeeper.core.wall import NEVER, WallClock

RotationKind = Literal["hourly", "daily", "weekly", "monthly"]
Turn = tuple[int, int, str | None]
"""From, until, and whose turn it is; None: nobody's."""
_STEPS = {
    "hourly": timedelta(hours=1),
    "daily": timedelta(days=1),
    "weekly": timedelta(weeks=1),
}
_DAY = timedelta(days=1)
_KEPT_DAYS = 500


class Rotation:
    """People who take turns, each for `every` hours, days, weeks or months on the wall."""

    def __init__(
        self,
        people: Sequence[str],
        kind: RotationKind,
        every: int,
        starts: datetime,
        clock: WallClock,
        ends: datetime | None = None,
    ) -> None:
        self.people = tuple(people)
        self._clock = clock
        self._starts = starts
        self._every = every
        self._step = _STEPS[kind] * every if kind in _STEPS else None
        self._first = clock.first(starts)
        self._last = NEVER if ends is None else clock.last(ends)
        self._known: Turn = (0, 0, None)

    def at(self, moment: int) -> Turn:
        """Return whose turn it is at a moment."""
        known = self._known
        if not known[0] <= moment < known[1]:
            known = self._known = self._find(moment)
        return known

    def _find(self, moment: int) -> Turn:
        if self._last <= self._first:
            return 0, NEVER, None
        if moment < self._first:
            return 0, self._first, None
        if moment >= self._last:
            return self._last, NEVER, None
        if len(self.people) == 1:
            return self._first, self._last, self.people[0]
        number = self._number(self._clock.at(moment))
        # a wall time that comes twice, or never, may be a few turns off
        while number > 0 and self._begin(number) > moment:
            number -= 1
        while (until := self._begin(number + 1)) <= moment:
            number += 1
        person = self.people[number % len(self.people)]
        return self._begin(number), min(until, self._last), person

    def _number(self, wall: datetime) -> int:
        if self._step is not None:
            return max(0, (wall - self._starts) // self._step)
        return max(0, (_months(wall) - _months(self._starts)) // self._every)

    def _begin(self, number: int) -> int:
        """Return when a turn begins, counted from 0; the 31st is the last day of a month."""
        try:
            if self._step is not None:
                return self._clock.first(self._starts + number * self._step)
            year, month = divmod(_months(self._starts) + number * self._every, 12)
            day = min(self._starts.day, calendar.monthrange(year, month + 1)[1])
            wall = self._starts.replace(year=year, month=month + 1, day=day)
            return self._clock.first(wall)
        except (OverflowError, ValueError):
            return NEVER  # past the year 9999


def _months(wall: datetime) -> int:
    return wall.year * 12 + wall.month - 1


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of some weekdays (0 is Monday), in minutes after midnight of that day.

    `end` is after `start`, and beyond 24 hours on the next day.
    """

    days: frozenset[int]
    start: int
    end: int


class Windows:
    """When in the week a layer counts."""

    def __init__(self, windows: Sequence[Window], clock: WallClock) -> None:
        self._windows = tuple(windows)
        self._clock = clock
        self._days: dict[date, tuple[tuple[int, int], ...]] = {}

    def at(self, moment: int) -> tuple[bool, int]:
        """Tell whether it counts at a moment, and until when that stays so at least."""
        if not self._windows:
            return True, NEVER
        today = self._clock.at(moment).date()
        until = 0
        for back in (0, 1, 2):
            for start, end in self._of(today - back * _DAY):
                if start <= moment < end:
                    until = max(until, end)
        if until:
            return True, until
        for ahead in range(10):
            later = [start for start, _ in self._of(today + ahead * _DAY) if start > moment]
            if later:
                return False, min(later)
        return False, self._clock.first(datetime.combine(today + 9 * _DAY, time()))

    def _of(self, day: date) -> tuple[tuple[int, int], ...]:
        """Return when the windows that start on a day begin and end; kept for a while."""
        known = self._days.get(day)
        if known is None:
            if len(self._days) > _KEPT_DAYS:
                self._days.clear()
            midnight, weekday = datetime.combine(day, time()), day.weekday()
            known = self._days[day] = tuple(
                (
                    self._clock.first(midnight + timedelta(minutes=window.start)),
                    self._clock.last(midnight + timedelta(minutes=window.end)),
                )
                for window in self._windows
                if weekday in window.days
            )
        return known
