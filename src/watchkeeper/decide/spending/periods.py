"""Periods that reports are asked for: `2026-11`, `2026-W47`, `2026-11-20`, `2026`, `from..to`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from watchkeeper.core.errors import Invalid
from watchkeeper.core.wall import wall_clock

_LONGEST_TEXT = 40
_DAY = timedelta(days=1)
_WEEK = re.compile(r"(\d{4})-W(\d\d)", re.ASCII)
_MONTH = re.compile(r"(\d{4})-(\d\d)", re.ASCII)
_YEAR = re.compile(r"(\d{4})", re.ASCII)
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class ReportPeriod:
    """Whole days in a zone; microseconds, `until` is not in it."""

    text: str
    zone: str
    since: int
    until: int


def read_period(text: str, zone: str = "UTC") -> ReportPeriod:
    """Read a period; weeks are those of ISO 8601. Raise `Invalid` for another text or zone.

    `from..to` are days (`2026-11-01..2026-11-15`); both are in it.
    """
    clock = wall_clock(zone)
    try:
        begin, end = _days(text.strip())
        if not date(1970, 1, 2) <= begin < end <= date(9997, 1, 1):
            raise ValueError
    except (ValueError, OverflowError):
        raise Invalid(
            f"{text!r:.60} is no period",
            where="period",
            remedy="write 2026-11, 2026-W47, 2026-11-20, 2026 or 2026-11-01..2026-11-15",
        ) from None
    midnight = time()
    return ReportPeriod(
        text.strip(),
        zone,
        clock.first(datetime.combine(begin, midnight)),
        clock.first(datetime.combine(end, midnight)),
    )


def _days(text: str) -> tuple[date, date]:
    """Return the first day and the day after the last; raise `ValueError`."""
    if len(text) > _LONGEST_TEXT:
        raise ValueError
    if ".." in text:
        begin, _, end = text.partition("..")
        return _date(begin), _date(end) + _DAY
    if found := _WEEK.fullmatch(text):
        monday = date.fromisocalendar(int(found[1]), int(found[2]), 1)
        return monday, monday + 7 * _DAY
    if found := _MONTH.fullmatch(text):
        first = date(int(found[1]), int(found[2]), 1)
        return first, (first + 31 * _DAY).replace(day=1)
    if found := _YEAR.fullmatch(text):
        return date(int(found[1]), 1, 1), date(int(found[1]) + 1, 1, 1)
    day = _date(text)
    return day, day + _DAY


def _date(text: str) -> date:
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError
    return date(*(int(part) for part in found.groups()))
