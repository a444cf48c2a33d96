"""Schedule documents from iCalendar files (RFC 5545), and iCalendar files from shifts."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from icalendar import Calendar, Event

from watchkeeper.cli.events import Read, read_events
from watchkeeper.core.clock import MICROSECONDS, SystemClock
from watchkeeper.core.errors import Invalid, TooLarge
from watchkeeper.core.text import make_safe
from watchkeeper.wire.base import NAME
from watchkeeper.wire.oncall import Shifts

LARGEST = 1024 * 1024
MOST_SHIFTS = 2000
_WEEK = 7 * 86_400 * MICROSECONDS


def import_calendar(
    file: str, *, name: str, zone: str | None, people: Sequence[str], weeks: int
) -> str:
    """Return the events of a file as the YAML text of a schedule document.

    Raises `Invalid` that names the line for what can't be read, `TooLarge` for too much.
    """
    if not re.fullmatch(NAME, name):
        raise Invalid(f"not a name: {name!r:.80}", remedy="use lower-case letters, digits, dashes")
    known = _read_people(people)
    now = SystemClock().now()
    found = read_events(_read(file), file, zone=zone, start=now, end=now + weeks * _WEEK)
    meant: dict[str, str] = {}
    rows: set[tuple[str, str, str, str]] = set()
    for event in found.events:
        for text in event.people:
            person = meant.setdefault(text, _person(text, known, event.line, file))
            other = "" if event.zone == found.zone else event.zone
            rows.add(
                (f"{event.start:%Y-%m-%dT%H:%M}", f"{event.end:%Y-%m-%dT%H:%M}", person, other)
            )
    if len(rows) > MOST_SHIFTS:
        raise TooLarge(
            f"{len(rows):,} shifts; a schedule has {MOST_SHIFTS:,} at most",
            where=file,
            remedy="import fewer weeks",
        )
    if not rows:
        raise Invalid(
            "no event lies ahead", where=file, remedy=f"looked {weeks} weeks ahead: try --weeks"
        )
    return "".join(_document(name, found, meant, sorted(rows)))


def export_calendar(shifts: Shifts) -> str:
    """Return shifts as an iCalendar file."""
    calendar = Calendar()
    calendar.add("prodid", "-//Watchkeeper//on call//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", shifts.schedule)
    calendar.add("x-wr-timezone", shifts.zone)
    for shift in shifts.shifts:
        event = Event()
        event.add("uid", f"{shift.start}-{shift.by}-{shift.person}-{shifts.schedule}@watchkeeper")
        event.add("dtstamp", _utc(shifts.start))
        event.add("dtstart", _utc(shift.start))
        event.add("dtend", _utc(shift.end))
        event.add("summary", shift.person)
        calendar.add_component(event)
    text: bytes = calendar.to_ical()
    return text.decode()


def _read(file: str) -> str:
    with sys.stdin.buffer if file == "-" else Path(file).open("rb") as stream:
        raw = stream.read(LARGEST + 1)
    if len(raw) > LARGEST:
        raise TooLarge(f"a calendar has at most {LARGEST:,} bytes", where=file)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise Invalid("not UTF-8 text", where=f"{file}:{line}") from None


def _read_people(given: Sequence[str]) -> dict[str, str]:
    known = {}
    for one in given:
        text, sign, person = one.rpartition("=")
        if not sign or not text or not re.fullmatch(NAME, person):
            raise Invalid(f"--person {one!r:.80}: write TEXT=NAME, as in 'Ada Lovelace=ada'")
        known[text.casefold()] = person
    return known


def _person(text: str, known: dict[str, str], line: int, file: str) -> str:
    """Return the name of whoever a text of the calendar means."""
    folded = text.casefold()
    exact = known.get(folded) or next((known[one] for one in known if one in folded), None)
    if exact is not None:
        return exact
    local = folded.partition("@")[0] if re.fullmatch(r"[^\s@]+@[^\s@]+", folded) else folded
    name = re.sub(r"[^a-z0-9._]+", "-", local).strip("-._")
    if not re.fullmatch(NAME, name):
        raise Invalid(
            f"nobody's name can be made of {text!r:.80}",
            where=f"{file}:{line}",
            remedy="say who is meant: --person TEXT=NAME",
        )
    return name


def _document(
    name: str,
    found: Read,
    meant: dict[str, str],
    rows: Iterable[tuple[str, str, str, str]],
) -> Iterable[str]:
    for text, person in sorted(meant.items()):
        yield f"# {person}: {make_safe(text)}\n"
    yield f"schedule:\n  name: {name}\n  zone: {found.zone}\n  shifts:\n"
    for start, end, person, zone in rows:
        other = f", zone: {zone}" if zone else ""
        # quoted: an unquoted name may be a number or a truth value of YAML
        yield f'    - {{person: "{person}", from: "{start}", to: "{end}"{other}}}\n'


def _utc(moment: int) -> datetime:
    return datetime.fromtimestamp(moment // MICROSECONDS, UTC)
