"""Periods: their keys, when they begin and when they end, in the zone of their budget.

Hours are whole hours of UTC. Days, weeks (from Monday) and months begin when the wall of their
zone first shows midnight, or the time that follows a midnight it never shows; so a day has 23 or
25 hours where clocks change, and every moment is in exactly one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Invalid
from watchkeeper.core.wall import wall_clock
from watchkeeper.wire.budgets import Period

HOUR_US = 3600 * MICROSECONDS
CALENDAR: tuple[Period, ...] = ("hour", "day", "week", "month")
"""The periods that begin by the clock."""
_EPOCH = datetime.fromtimestamp(0, UTC)


class Span(NamedTuple):
    """One period: from its start until just before its end (microseconds)."""

    start: int
    end: int
    key: str


_latest: dict[tuple[Period, str], Span] = {}
"""The span of each kind that was looked at last: nearly every look is into the same."""


def period_key(period: Period, at: int, run: str, zone: str = "UTC") -> str:
    """Name the period that a time falls in; for ``run`` it is the run itself.

    A zone that is not UTC is part of the name: `2026-11-21@Europe/Berlin`.
    """
    if period == "run":
        return run
    return span_of(period, at, zone).key


def starts_at(period: Period, at: int, zone: str = "UTC") -> int:
    """Return when the hour, day, week or month of a time began (microseconds)."""
    return span_of(period, at, zone).start


def resets_at(period: Period, at: int, zone: str = "UTC") -> int | None:
    """Return when the hour, day, week or month of a time ends; None for a run or one call."""
    return span_of(period, at, zone).end if period in CALENDAR else None


def zone_of(key: str) -> str:
    """Return the zone that a period's key was made in."""
    return key.partition("@")[2] or "UTC"


def span_of(period: Period, at: int, zone: str = "UTC") -> Span:
    """Return the hour, day, week or month of a time; raise `Invalid` for other periods."""
    if period == "hour":
        zone = "UTC"
    span = _latest.get((period, zone))
    if span is None or not span.start <= at < span.end:
        span = _latest[period, zone] = _find(period, at, zone)
    return span


def _find(period: Period, at: int, zone: str) -> Span:
    if period not in CALENDAR:
        raise Invalid(
            f"a cap on each {period} has no balance to show or to top up",
            where="period",
            remedy="it stands in the agent's contract, or in a budget document: change it there",
        )
    if period == "hour":
        start = at // HOUR_US * HOUR_US
        moment = _EPOCH + timedelta(microseconds=start)
        return Span(start, start + HOUR_US, moment.strftime("%Y-%m-%dT%H"))
    clock = wall_clock(zone)
    begin = clock.at(at).replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "week":
        begin -= timedelta(days=begin.weekday())
    elif period == "month":
        begin = begin.replace(day=1)
    following = _next(period, begin)
    # where clocks are put back over midnight, the wall shows the day before once more
    while (end := clock.first(following)) <= at:
        begin, following = following, _next(period, following)
    if period == "week":
        year, week, _ = begin.isocalendar()
        key = f"{year:04}-W{week:02}"
    else:
        key = begin.strftime("%Y-%m-%d" if period == "day" else "%Y-%m")
    start = clock.first(begin) if begin.year >= 1970 else 0
    return Span(start, end, key if zone == "UTC" else f"{key}@{zone}")


def _next(period: Period, begin: datetime) -> datetime:
    if period == "month":
        return (begin + timedelta(days=32)).replace(day=1)
    return begin + timedelta(days=7 if period == "week" else 1)
