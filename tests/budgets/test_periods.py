from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rig.moments import moment
from watchkeeper.budgets.periods import CALENDAR, period_key, resets_at, span_of, starts_at, zone_of

HOUR = 3600 * 1_000_000
TIMES = st.integers(0, moment("2200-01-01T00:00:00Z"))
ZONES = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Asia/Kolkata",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "America/Sao_Paulo",  # put its clocks forward at midnight
        "America/Havana",  # shows the hour after midnight twice
        "America/Asuncion",
        "Pacific/Apia",  # had no 30 December 2011
        "Africa/Monrovia",
        "America/Toronto",
    ]
)
WALL: tuple[Any, ...] = ("day", "week", "month")


def test_days_are_those_of_the_zone_with_its_name_in_the_key() -> None:
    at = moment("2026-11-30T23:30:00Z")
    assert period_key("day", at, "", "UTC") == "2026-11-30"
    assert period_key("day", at, "", "Europe/Berlin") == "2026-12-01@Europe/Berlin"
    assert period_key("month", at, "", "Europe/Berlin") == "2026-12@Europe/Berlin"
    assert period_key("week", at, "", "Europe/Berlin") == "2026-W49@Europe/Berlin"
    assert period_key("hour", at, "", "Europe/Berlin") == "2026-11-30T23"
    assert period_key("run", at, "run_1", "Europe/Berlin") == "run_1"
    assert zone_of("2026-12@Europe/Berlin") == "Europe/Berlin"
    assert zone_of("2026-12") == zone_of("run_1") == "UTC"
    assert resets_at("day", at, "Asia/Kolkata") == moment("2026-12-01T18:30:00Z")
    assert resets_at("run", at) is resets_at("invocation", at) is None


def test_a_day_has_23_or_25_hours_where_clocks_change() -> None:
    spring, autumn = moment("2026-03-29T05:00:00Z"), moment("2026-10-25T05:00:00Z")
    for at, hours in ((spring, 23), (autumn, 25), (autumn + 30 * HOUR, 24)):
        span = span_of("day", at, "Europe/Berlin")
        assert span.end - span.start == hours * HOUR
    week = span_of("week", autumn, "Europe/Berlin")
    assert week.end - week.start == 169 * HOUR
    # a midnight that is never shown: the day begins with the change, at one o'clock
    missing = span_of("day", moment("2017-10-15T12:00:00Z"), "America/Sao_Paulo")
    assert missing.start == moment("2017-10-15T03:00:00Z")
    assert missing.end - missing.start == 23 * HOUR


def test_weeks_begin_on_monday_and_are_named_by_their_thursday() -> None:
    assert period_key("week", moment("2027-01-01T12:00:00Z"), "") == "2026-W53"
    assert starts_at("week", moment("2027-01-01T12:00:00Z")) == moment("2026-12-28T00:00:00Z")
    assert period_key("week", moment("2027-01-04T00:00:00Z"), "") == "2027-W01"


@given(TIMES, st.sampled_from(CALENDAR), ZONES)
def test_a_period_has_one_key_from_its_start_to_its_end(at: int, period: Any, zone: str) -> None:
    start, end = starts_at(period, at, zone), resets_at(period, at, zone)
    assert end is not None
    assert start <= at < end
    key = period_key(period, at, "", zone)
    assert period_key(period, start, "", zone) == period_key(period, end - 1, "", zone) == key
    assert period_key(period, end, "", zone) != key


@pytest.mark.parametrize("zone", ["America/Havana", "Pacific/Apia", "Europe/Berlin", "UTC"])
@pytest.mark.parametrize("period", WALL)
def test_periods_follow_each_other_without_gap_or_overlap(zone: str, period: Any) -> None:
    at, until = moment("2011-11-01T00:00:00Z"), moment("2012-04-15T00:00:00Z")
    spans = []
    while at < until:
        spans.append(span_of(period, at, zone))
        at = spans[-1].end
    assert all(one.end == following.start for one, following in pairwise(spans))
    assert len({one.key for one in spans}) == len(spans)
