"""Wall-clock time: what clocks on the wall of a zone show, and when they show it.

A zone that changes its offset shows some times twice and others never. The first moment of a
wall time is the earliest at which the wall shows it or later, its last moment the latest up to
which the wall shows it or earlier: both are the same but for a time that is shown twice, and a
time that is never shown is moved forward to the change. So both rise with the wall time,
whatever the zone does, and what starts at a first moment and ends at a last one may overlap
with its neighbour, but leaves no gap to it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.durations import read_duration
from watchkeeper.core.errors import Invalid

NEVER = 1 << 62
"""A moment after every other."""
_TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_FIRST_SECOND, _LAST_SECOND = 0, 253_370_764_799  # 1970 to 9998: offsets stay within a datetime


class WallClock:
    """The clock on the wall of one zone."""

    __slots__ = ("_zone", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._zone = ZoneInfo(name)

    def at(self, moment: int) -> datetime:
        """Return what the wall shows at a moment (microseconds), without a zone."""
        seconds = min(max(moment // MICROSECONDS, _FIRST_SECOND), _LAST_SECOND)
        return datetime.fromtimestamp(seconds, self._zone).replace(tzinfo=None)

    def aware(self, moment: int) -> datetime:
        """Return a moment as a time that knows this zone and its offset then."""
        seconds = min(max(moment // MICROSECONDS, _FIRST_SECOND), _LAST_SECOND)
        return datetime.fromtimestamp(seconds, self._zone)

    def first(self, wall: datetime) -> int:
        """Return the first moment of a wall time."""
        before, after = self._offsets(wall)
        if before < after:
            return self._change(wall, wall - after, wall - before)
        return _moment(wall - before)

    def last(self, wall: datetime) -> int:
        """Return the last moment of a wall time."""
        before, after = self._offsets(wall)
        if before < after:
            return self._change(wall, wall - after, wall - before)
        return _moment(wall - after)

    def _offsets(self, wall: datetime) -> tuple[timedelta, timedelta]:
        """Return the offsets before and after a change around a wall time (PEP 495)."""
        here = wall.replace(tzinfo=self._zone)
        before = here.utcoffset()
        after = here.replace(fold=1).utcoffset()
        assert before is not None
        assert after is not None
        return before, after

    def _change(self, wall: datetime, early: datetime, late: datetime) -> int:
        """Return the moment of the change that a wall time is lost in."""
        low, high = (_moment(one) // MICROSECONDS for one in (early, late))
        while high - low > 1:
            middle = (low + high) // 2
            if self.at(middle * MICROSECONDS) < wall:
                low = middle
            else:
                high = middle
        return high * MICROSECONDS


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Return the names of the IANA database's zones; read once."""
    return frozenset(available_timezones())


@lru_cache(maxsize=1000)
def wall_clock(zone: str) -> WallClock:
    """Return the clock of a zone; raise :class:`Invalid` for a name that no zone has."""
    if zone not in zone_names():
        raise Invalid(
            f"{zone!r:.80} is no time zone",
            remedy="write one as `Europe/Berlin` or `UTC`",
        )
    return WallClock(zone)


def read_moment(text: str, clock: WallClock) -> int:
    """Read `2026-11-20T09:00`, on the wall of `clock` unless it carries an offset or `Z`.

    A wall time that comes twice is the first of the two. Raises :class:`Invalid`.
    """
    try:
        found = datetime.fromisoformat(text.strip())
        if not 1970 <= found.year < 9998:
            raise ValueError
    except ValueError:
        raise Invalid(
            f"not a time: {text!r:.60}",
            remedy=f"write it as 2026-11-20T09:00 ({clock.name}), or with an offset: "
            "2026-11-20T09:00+01:00",
        ) from None
    if found.tzinfo is None:
        return clock.first(found)
    return _moment(found.astimezone(UTC).replace(tzinfo=None))


def read_time(text: str, clock: WallClock, now: int) -> int:
    """Read a time as `read_moment` does, or `18:00` (the next one), or `+4h` (from `now`)."""
    try:
        at = _read(text.strip(), clock, now)
        if at // MICROSECONDS > _LAST_SECOND:
            raise Invalid("too far ahead")
    except Invalid:
        raise Invalid(
            f"not a time: {text!r:.60}",
            remedy="write a time as 18:00, 2026-11-24 18:00 or +4h; without an offset it is of "
            f"{clock.name}",
        ) from None
    return at


def _read(text: str, clock: WallClock, now: int) -> int:
    if text.startswith("+"):
        return now + read_duration(text[1:]) * MICROSECONDS
    if not _TIME_OF_DAY.fullmatch(text):
        return read_moment(text, clock)
    today = clock.at(now).replace(hour=int(text[:2]), minute=int(text[3:]), second=0)
    at = clock.first(today)
    return at if at > now else clock.first(today + timedelta(days=1))


def _moment(utc: datetime) -> int:
    return (utc - _EPOCH) // _MICROSECOND
