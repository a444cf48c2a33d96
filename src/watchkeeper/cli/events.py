"""Events of an iCalendar file (RFC 5545). The file is hostile: all is bounded, each mistake has
its line, and what repeats is written out for a limited time."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dateutil.rrule import rrulestr
from icalendar.parser import Contentline
from icalendar.prop import vDuration
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from watchkeeper.core.errors import Invalid, WatchkeeperError
from watchkeeper.core.wall import WallClock, wall_clock, zone_names

MOST_EVENTS = 5000
MOST_REPEATING = 200
"""Events with a rule of repetition."""
_MOST_FOUND = 10_000
MOST_AT_ONCE = 20
"""People of one event."""
_LONGEST_LINE = 10_000
_LONGEST_RULE = 500
_MOST_DATES = 500
_OLDEST = timedelta(days=5 * 366)
"""How long ago an event that repeats may have begun."""
_LONGEST = timedelta(days=366)
_CYCLES = 19 * 400
"""In years: the calendar is the same every 400."""
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z?))?")
_RULE_PARTS = {
    "FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS", "WKST",
}  # fmt: skip
_FREQUENCIES = {"DAILY", "WEEKLY", "MONTHLY", "YEARLY"}
_KNOWN = {
    "DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID", "UID", "SUMMARY",
    "ATTENDEE", "STATUS",
}  # fmt: skip
_ONCE = _KNOWN - {"RDATE", "EXDATE", "ATTENDEE"}


def _late(wall: datetime) -> datetime:
    """Return the same day of the week and year, so late that few years are left (until 9999).

    What never comes, as the 30th of February, is looked for in all that are left.
    """
    return wall.replace(year=wall.year + _CYCLES)


def _early(late: datetime) -> datetime:
    return late.replace(year=late.year - _CYCLES)


@dataclass(frozen=True, slots=True)
class EventRead:
    """One event, or one of its repetitions, on the wall of a zone."""

    people: tuple[str, ...]
    """Who it is for, as the calendar writes them."""
    start: datetime
    end: datetime
    zone: str
    line: int


@dataclass(frozen=True, slots=True)
class Read:
    """What a file holds."""

    zone: str
    events: tuple[EventRead, ...]


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    parameters: dict[str, str]
    value: str


@dataclass(slots=True)
class _Raw:
    line: int
    values: dict[str, list[_Line]] = field(default_factory=dict)

    def one(self, name: str) -> _Line | None:
        return self.values.get(name, [None])[0]

    def text(self, name: str) -> str:
        found = self.one(name)
        return found.value.strip() if found else ""


def read_events(text: str, file: str, *, zone: str | None, start: int, end: int) -> Read:
    """Return the events of a file that touch a time (microseconds).

    Raises `Invalid` that names the line.
    """
    raw, default = _parse(text, file)
    reader = _Reader(file, zone or default)
    return reader.read(raw, start, end)


def _parse(text: str, file: str) -> tuple[list[_Raw], str | None]:
    """Return the events as they stand, and the calendar's own zone."""
    events: list[_Raw] = []
    inside: list[str] = []
    zone, repeating, begun = None, 0, False
    for number, line in _unfold(text, file):
        name = re.split("[;:]", line, maxsplit=1)[0].upper()
        if name == "BEGIN":
            kind = line.partition(":")[2].strip().upper()
            if not inside and kind != "VCALENDAR":
                raise Invalid("BEGIN:VCALENDAR is missing", where=f"{file}:{number}")
            begun = True
            inside.append(kind)
            if len(inside) > 10:
                raise Invalid("nested too deeply", where=f"{file}:{number}")
            if inside == ["VCALENDAR", "VEVENT"]:
                events.append(_Raw(number))
            if len(events) > MOST_EVENTS:
                raise Invalid(f"more than {MOST_EVENTS:,} events", where=f"{file}:{number}")
        elif name == "END":
            kind = line.partition(":")[2].strip().upper()
            if not inside or inside.pop() != kind:
                raise Invalid(f"END:{kind:.40} ends nothing", where=f"{file}:{number}")
        elif not inside:
            raise Invalid("not an iCalendar file", where=f"{file}:{number}")
        elif inside == ["VCALENDAR"] and name == "X-WR-TIMEZONE":
            zone = line.partition(":")[2].strip()
        elif inside == ["VCALENDAR", "VEVENT"] and name in _KNOWN:
            found = events[-1].values.setdefault(name, [])
            found.append(_content(line, number, file))
            if len(found) > (1 if name in _ONCE else _MOST_DATES):
                raise Invalid(f"{name} comes too often", where=f"{file}:{number}")
            repeating += name == "RRULE"
            if repeating > MOST_REPEATING:
                raise Invalid(
                    f"more than {MOST_REPEATING} events that repeat", where=f"{file}:{number}"
                )
    if not begun:
        raise Invalid("not an iCalendar file", where=f"{file}:1")
    if inside:
        raise Invalid(f"END:{inside[-1]:.40} is missing: the file is cut off", where=file)
    return events, zone


def _unfold(text: str, file: str) -> Iterator[tuple[int, str]]:
    """Yield the content lines with the number of the line where each begins."""
    parts: list[str] = []
    begun, length = 1, 0
    for number, line in enumerate(re.split("\r?\n", text), start=1):
        if line[:1] in (" ", "\t") and parts:
            parts.append(line[1:])
        else:
            if parts and parts != [""]:
                yield begun, "".join(parts)
            parts, begun, length = [line], number, 0
        length += len(line)
        if length > _LONGEST_LINE:
            raise Invalid(f"longer than {_LONGEST_LINE:,} characters", where=f"{file}:{begun}")
    if parts and parts != [""]:
        yield begun, "".join(parts)


def _content(line: str, number: int, file: str) -> _Line:
    try:
        _, parameters, value = Contentline(line).parts()  # type: ignore[no-untyped-call]
    except ValueError:
        raise Invalid("not a content line (RFC 5545, 3.1)", where=f"{file}:{number}") from None
    named = {str(key).upper(): str(one) for key, one in parameters.items()}
    return _Line(number, named, str(value))


class _Reader:
    def __init__(self, file: str, zone: str | None) -> None:
        self._file = file
        self._zone = zone
        self.zone = "UTC"

    def read(self, raw: list[_Raw], start: int, end: int) -> Read:
        if self._zone is not None:
            self.zone = self._clock(self._zone, None).name
        else:
            named = (one.one("DTSTART") for one in raw)
            first = next((one for one in named if one and "TZID" in one.parameters), None)
            self.zone = self._clock(first.parameters["TZID"], first).name if first else "UTC"
        changed: dict[str, set[datetime]] = {}
        for one in raw:
            moved = one.one("RECURRENCE-ID")
            if moved is not None:
                wall, clock, _ = self._time(moved)
                changed.setdefault(one.text("UID"), set()).add(self._on(wall, clock, None))
        found: list[EventRead] = []
        for one in raw:
            if one.text("STATUS").upper() == "CANCELLED":
                continue
            moved_times = set() if one.one("RECURRENCE-ID") else changed.get(one.text("UID"), set())
            found += self._event(one, moved_times, start, end)
            if len(found) > _MOST_FOUND:
                raise Invalid(
                    f"more than {_MOST_FOUND:,} events with what repeats",
                    where=self._at(one.line),
                    remedy="import fewer weeks",
                )
        return Read(self.zone, tuple(found))

    def _event(self, raw: _Raw, moved: set[datetime], start: int, end: int) -> Iterator[EventRead]:
        begin = raw.one("DTSTART")
        if begin is None:
            raise Invalid("the event has no DTSTART", where=self._at(raw.line))
        first, clock, whole_day = self._time(begin)
        length = self._length(raw, first, clock, whole_day)
        people = self._people(raw)
        starts: Iterator[datetime] | list[datetime] = [first]
        if raw.one("RRULE") is not None or "RDATE" in raw.values:
            starts = self._repeat(raw, first, clock, start, end)
        utc = wall_clock("UTC")
        for wall in starts:
            moments = clock.first(wall), clock.last(wall + length)
            if moments[1] <= start or moments[0] >= end or self._on(wall, clock, utc) in moved:
                continue
            yield EventRead(people, wall, wall + length, clock.name, raw.line)

    def _repeat(
        self, raw: _Raw, first: datetime, clock: WallClock, start: int, end: int
    ) -> list[datetime]:
        """Return when an event begins again, on the wall, up to the end of the time asked for."""
        starts = {first}
        limit = clock.at(end)
        rule = raw.one("RRULE")
        if rule is not None:
            parts = self._rule(rule)
            if first < clock.at(start) - _OLDEST:
                raise Invalid(
                    "an event that repeats began more than five years ago",
                    where=self._at(rule.number),
                    remedy="let it begin later",
                )
            until = parts.pop("UNTIL", None)
            if until is not None:
                wall, other, day = self._time(_Line(rule.number, rule.parameters, until))
                wall += timedelta(days=1, minutes=-1) if day else timedelta()
                limit = min(limit, clock.at(other.last(wall)))
            most = int(parts.pop("COUNT", _MOST_DATES * 20))
            text = ";".join(f"{name}={value}" for name, value in parts.items())
            try:
                again = rrulestr(text, dtstart=_late(first)).replace(until=_late(limit))  # type: ignore[union-attr]
                starts.update(_early(wall) for wall in itertools.islice(again, most))
            except (ValueError, TypeError, KeyError, IndexError, OverflowError):
                raise Invalid("RRULE can't be read", where=self._at(rule.number)) from None
        starts.update(wall for wall in self._dates(raw, "RDATE", clock) if wall <= limit)
        starts.difference_update(self._dates(raw, "EXDATE", clock))
        return sorted(starts)

    def _rule(self, rule: _Line) -> dict[str, str]:
        parts: dict[str, str] = {}
        for part in rule.value.upper().split(";"):
            name, sign, value = part.partition("=")
            if not sign or name not in _RULE_PARTS or name in parts:
                raise Invalid(
                    f"RRULE: {part!r:.60} is not understood",
                    where=self._at(rule.number),
                    remedy="known are " + ", ".join(sorted(_RULE_PARTS)),
                )
            parts[name] = value
        numbers = (parts.get("INTERVAL", "1"), parts.get("COUNT", "1"))
        right = all(re.fullmatch("[1-9][0-9]{0,3}", one) for one in numbers)
        if parts.get("FREQ") not in _FREQUENCIES or not right or len(rule.value) > _LONGEST_RULE:
            raise Invalid(
                "RRULE: needs FREQ of days, weeks, months or years, and small numbers",
                where=self._at(rule.number),
            )
        return parts

    def _dates(self, raw: _Raw, name: str, clock: WallClock) -> set[datetime]:
        found: set[datetime] = set()
        for line in raw.values.get(name, ()):
            for value in line.value.split(",")[: _MOST_DATES + 1]:
                wall, other, _ = self._time(_Line(line.number, line.parameters, value))
                found.add(self._on(wall, other, clock))
            if len(found) > _MOST_DATES:
                raise Invalid(f"{name}: too many dates", where=self._at(line.number))
        return found

    def _length(self, raw: _Raw, first: datetime, clock: WallClock, whole_day: bool) -> timedelta:
        """Return how long an event is, on the wall."""
        to, lasts = raw.one("DTEND"), raw.one("DURATION")
        line = (to or lasts or raw.one("DTSTART") or _Line(raw.line, {}, "")).number
        if to is not None:
            wall, other, _ = self._time(to)
            length = self._on(wall, other, clock) - first
        elif lasts is not None:
            try:
                length = vDuration.from_ical(lasts.value)  # type: ignore[no-untyped-call]
            except (ValueError, OverflowError):
                raise Invalid("DURATION can't be read", where=self._at(line)) from None
        else:
            length = timedelta(days=1) if whole_day else timedelta()
        if length > _LONGEST:
            raise Invalid(f"the event is longer than {_LONGEST.days} days", where=self._at(line))
        if length <= timedelta():
            raise Invalid("the event ends before it begins, or never", where=self._at(line))
        return length

    def _people(self, raw: _Raw) -> tuple[str, ...]:
        """Return who an event is for: its attendees, or what its summary says."""
        found = []
        for line in raw.values.get("ATTENDEE", ())[: MOST_AT_ONCE + 1]:
            mail = re.sub("^mailto:", "", line.value.strip(), flags=re.IGNORECASE)
            found.append(mail or line.parameters.get("CN", ""))
        if len(found) > MOST_AT_ONCE:
            raise Invalid(f"more than {MOST_AT_ONCE} attendees", where=self._at(raw.line))
        people = tuple(one[:200] for one in found if one) or (raw.text("SUMMARY")[:200],)
        if people == ("",):
            raise Invalid("the event has neither SUMMARY nor ATTENDEE", where=self._at(raw.line))
        return people

    def _time(self, line: _Line) -> tuple[datetime, WallClock, bool]:
        """Return a time on the wall, whose wall, and whether it is a whole day."""
        match = _TIME.fullmatch(line.value.strip())
        try:
            numbers = [int(part) for part in match.groups()[:6] if part] if match else []
            wall = datetime(*numbers) if numbers else None  # type: ignore[arg-type]
        except ValueError:
            wall = None
        if match is None or wall is None or not 1970 <= wall.year < 2200:
            raise Invalid(
                f"{line.value!r:.60} is no date or time of 1970 to 2199",
                where=self._at(line.number),
            )
        zone = "UTC" if match[7] else line.parameters.get("TZID")
        clock = self._clock(zone, line) if zone else wall_clock(self.zone)
        return wall.replace(second=0), clock, match[4] is None

    def _on(self, wall: datetime, clock: WallClock, other: WallClock | None) -> datetime:
        """Return what another wall shows when this one shows a time; UTC's where None."""
        other = other or wall_clock("UTC")
        return wall if clock is other else other.at(clock.first(wall))

    def _clock(self, zone: str, line: _Line | None) -> WallClock:
        try:
            known = zone if zone in zone_names() else WINDOWS_TO_OLSON.get(zone, zone)
            return wall_clock(known)
        except WatchkeeperError:
            raise Invalid(
                f"{zone!r:.60} is no time zone of the IANA database",
                where=self._at(line.number) if line else self._file,
                remedy="give --zone, and TZID as `Europe/Berlin`",
            ) from None

    def _at(self, line: int) -> str:
        return f"{self._file}:{line}"
