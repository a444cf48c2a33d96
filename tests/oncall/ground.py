"""A second opinion on wall clocks and turns: slow, plain, and made from offsets alone."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.wall import WallClock, wall_clock
from watchkeeper.oncall.rotations import Rotation, RotationKind, Window, Windows
from watchkeeper.oncall.schedules import Layer, Schedule
from watchkeeper.oncall.spans import Spans

EPOCH = datetime(1970, 1, 1)
HOUR = 3600
DAY = 24 * HOUR
PEOPLE = ("ada", "bob", "cay")
TEN = (
    "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca",
    "Antarctica/Troll", "Europe/Berlin", "America/New_York", "America/St_Johns",
    "Pacific/Chatham", "Asia/Tehran",
)  # fmt: skip


def utc(text: str) -> int:
    """Return a time written in UTC, in microseconds."""
    return second(datetime.fromisoformat(text)) * MICROSECONDS


def second(utc_wall: datetime) -> int:
    """Return seconds since the epoch of a time in UTC without a zone."""
    return int((utc_wall - EPOCH).total_seconds())


@dataclass(frozen=True)
class Offsets:
    """A zone's offsets over a time in pieces, read second by second from the zone database."""

    begins: tuple[int, ...]
    """When each piece begins, in seconds since the epoch."""
    offsets: tuple[int, ...]

    def at(self, moment: int) -> int:
        index = bisect_left(self.begins, moment + 1) - 1
        return self.offsets[index]

    def wall(self, moment: int) -> int:
        return moment + self.offsets[bisect_left(self.begins, moment + 1) - 1]

    def first(self, wall: int) -> int:
        """Return the earliest second at which the wall shows this time or a later one."""
        for index, (begin, offset) in enumerate(zip(self.begins, self.offsets, strict=True)):
            end = self.begins[index + 1] if index + 1 < len(self.begins) else 1 << 50
            moment = max(begin, wall - offset)
            if moment < end:
                return moment
        raise AssertionError("past the last piece")

    def last(self, wall: int) -> int:
        """Return the second up to which the wall shows this time or an earlier one."""
        for index in reversed(range(len(self.begins))):
            begin, offset = self.begins[index], self.offsets[index]
            if wall - offset >= begin:
                return wall - offset
            if index and self.wall(begin - 1) < wall:
                return begin
        raise AssertionError("before the first piece")

    @property
    def changes(self) -> list[tuple[int, int]]:
        """When the offset changes, and by how much."""
        return [
            (self.begins[number], self.offsets[number] - self.offsets[number - 1])
            for number in range(1, len(self.begins))
        ]


def offsets_of(zone: str, start: int, end: int) -> Offsets:
    """Read the offsets of a zone between two seconds."""
    known = ZoneInfo(zone)

    def offset(moment: int) -> int:
        found = datetime.fromtimestamp(moment, UTC).astimezone(known).utcoffset()
        assert found is not None
        return int(found.total_seconds())

    begins, offsets = [start], [offset(start)]
    for moment in range(start, end, 3 * HOUR):
        low, high = moment, moment + 3 * HOUR
        if offset(high) == offsets[-1]:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == offsets[-1] else (low, middle)
        begins.append(high)
        offsets.append(offset(high))
    return Offsets(tuple(begins), tuple(offsets))


def check_walls(clock: WallClock, known: Offsets, start: int, end: int, step: int) -> int:
    """Check first and last moments of wall times against the second opinion; count them."""
    count = 0
    for wall in range(start, end, step):
        shown = EPOCH + timedelta(seconds=wall)
        assert clock.first(shown) == known.first(wall) * MICROSECONDS, (clock.name, shown)
        assert clock.last(shown) == known.last(wall) * MICROSECONDS, (clock.name, shown)
        count += 1
    return count


def turns(rotation: Rotation, start: int, end: int) -> Iterator[tuple[int, int, str | None]]:
    """Yield the turns between two seconds, in seconds."""
    moment = start * MICROSECONDS
    while moment < end * MICROSECONDS:
        since, until, person = rotation.at(moment)
        assert since <= moment < until
        yield since // MICROSECONDS, until // MICROSECONDS, person
        moment = until


def check_turns(
    zone: str, known: Offsets, kind: RotationKind, starts: int, start: int, end: int, every: int = 1
) -> int:
    """Check that turns leave no gap and are as long as they should be, but for the offset.

    `starts` is the first hand-over on the wall, in seconds since an epoch without zones.
    """
    rotation = Rotation(PEOPLE, kind, every, EPOCH + timedelta(seconds=starts), wall_clock(zone))
    nominal = {"hourly": HOUR, "daily": DAY, "weekly": 7 * DAY}[kind] * every
    found = list(turns(rotation, start, end))
    number = max(0, (known.wall(start) - starts) // nominal - DAY // nominal - 1)
    expected: list[tuple[int, int, str | None]] = []
    while not expected or expected[-1][1] < end:
        since, until = (known.first(starts + k * nominal) for k in (number, number + 1))
        if since < until and until > start:
            expected.append((since, until, PEOPLE[number % len(PEOPLE)]))
        number += 1
    assert found == expected, (zone, kind, EPOCH + timedelta(seconds=starts))
    for since, until, person in expected:
        if not any(since <= at <= until for at, _ in known.changes):
            continue
        # from within too: an hour that comes twice shows each wall time twice
        for eighth in range(8):
            rotation.at(start * MICROSECONDS)  # what was found last is not asked again
            moment = since + (until - since) * eighth // 8
            assert rotation.at(moment * MICROSECONDS)[2] == person, (zone, kind, moment)
    for since, until, _ in found:
        shifted = sum(abs(by) for at, by in known.changes if since <= at <= until)
        assert abs(until - since - nominal) <= shifted, (zone, since, until)
    return len(found)


def schedule_of(zone: str, *layers: Layer) -> Schedule:
    """Return a schedule of layers without fixed shifts."""
    return Schedule("desk", wall_clock(zone), layers, Spans(()))


def layer(
    zone: str,
    people: tuple[str, ...],
    kind: RotationKind,
    starts: str,
    *,
    every: int = 1,
    ends: str | None = None,
    windows: tuple[Window, ...] = (),
    name: str = "first",
) -> Layer:
    """Return a layer as a document would give it."""
    clock = wall_clock(zone)
    until = datetime.fromisoformat(ends) if ends else None
    rotation = Rotation(people, kind, every, datetime.fromisoformat(starts), clock, until)
    return Layer(name, rotation, Windows(windows, clock))
