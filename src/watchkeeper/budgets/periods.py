"""Periods in UTC: their keys, when they begin and when they end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Invalid
from watchkeeper.wire.budgets import Period

HOUR_US = 3600 * MICROSECONDS
_EPOCH = datetime.fromtimestamp(0, UTC)


def period_key(period: Period, at: int, run: str) -> str:
    """Name the period that a time falls in; for ``run`` it is the run itself."""
    if period == "run":
        return run
    return _calendar_key(period, at // HOUR_US)


@lru_cache(maxsize=64)
def _calendar_key(period: Period, hour: int) -> str:
    text = (_EPOCH + timedelta(hours=hour)).strftime("%Y-%m-%dT%H")
    return text[: {"hour": 13, "day": 10, "month": 7}[period]]


def starts_at(period: Period, at: int) -> int:
    """Return when the hour, day or month of a time began (microseconds)."""
    return _as_micros(_start(period, at))


def resets_at(period: Period, at: int) -> int | None:
    """Return when the hour, day or month of a time ends; None for a run."""
    if period == "run":
        return None
    start = _start(period, at)
    if period == "hour":
        end = start + timedelta(hours=1)
    elif period == "day":
        end = start + timedelta(days=1)
    else:
        end = (start + timedelta(days=32)).replace(day=1)
    return _as_micros(end)


def _start(period: Period, at: int) -> datetime:
    moment = (_EPOCH + timedelta(microseconds=at)).replace(minute=0, second=0, microsecond=0)
    if period == "hour":
        return moment
    if period == "day":
        return moment.replace(hour=0)
    if period == "month":
        return moment.replace(day=1, hour=0)
    raise Invalid("a run has no start in the calendar", where="period")


def _as_micros(moment: datetime) -> int:
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * MICROSECONDS
