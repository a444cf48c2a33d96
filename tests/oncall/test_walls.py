"""Hand-overs in every zone of the IANA database, against a second opinion (see ground.py)."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.oncall.ground import (
    DAY,
    HOUR,
    TEN,
    Offsets,
    check_turns,
    check_walls,
    offsets_of,
    second,
    turns,
    utc,
)
from watchkeeper.core.errors import Invalid
from watchkeeper.core.wall import read_moment, read_time, wall_clock, zone_names
from watchkeeper.oncall.rotations import Rotation

START, END = second(datetime(2026, 6, 1)), second(datetime(2027, 7, 1))


def every_behaviour() -> dict[str, Offsets]:
    """Return one zone for each way in which zones behave over the year."""
    found: dict[tuple[tuple[int, ...], tuple[int, ...]], tuple[str, Offsets]] = {}
    for zone in sorted(zone_names()):
        known = offsets_of(zone, START, END)
        found.setdefault((known.begins, known.offsets), (zone, known))
    return dict(found.values())


def test_no_zone_loses_or_doubles_a_hand_over() -> None:
    behaviours = every_behaviour()
    assert len(behaviours) > 30
    changed = 0
    for zone, known in behaviours.items():
        clock = wall_clock(zone)
        for at, _ in known.changes or [(START + 30 * DAY, 0)]:
            changed += 1
            wall = known.wall(at)
            check_walls(clock, known, wall - 26 * HOUR, wall + 26 * HOUR, 900)
            first_day = (wall - 3 * DAY) // DAY * DAY
            for time_of_day in range(0, DAY, HOUR // 2):
                check_turns(zone, known, "daily", first_day + time_of_day, at - DAY, at + DAY)
            for minute in range(0, HOUR, HOUR // 4):
                check_turns(zone, known, "hourly", first_day + minute, at - DAY, at + DAY)
            check_turns(zone, known, "hourly", first_day + 9 * HOUR, at - DAY, at + DAY, every=12)
            check_turns(zone, known, "weekly", first_day + 2 * HOUR, at - 2 * DAY, at + 9 * DAY)
    assert changed > 60


@pytest.mark.parametrize("zone", TEN)
def test_each_half_minute_around_a_change(zone: str) -> None:
    known = offsets_of(zone, START, END)
    for at, _ in known.changes or [(START + 30 * DAY, 0)]:
        wall = known.wall(at)
        check_walls(wall_clock(zone), known, wall - 4 * HOUR, wall + 4 * HOUR, 30)


def test_a_year_in_which_a_zone_skipped_a_day() -> None:
    start, end = second(datetime(2011, 9, 1)), second(datetime(2012, 5, 1))
    known = offsets_of("Pacific/Apia", start, end)
    assert any(by == DAY for _, by in known.changes)
    for time_of_day in range(0, DAY, HOUR):
        check_turns("Pacific/Apia", known, "daily", start + DAY + time_of_day, start + 5 * DAY, end)
        check_turns("Pacific/Apia", known, "hourly", start + DAY, start + 100 * DAY, end - DAY, 6)


def test_hand_overs_in_an_hour_that_comes_twice_or_never() -> None:
    clock = wall_clock("Europe/Berlin")
    twice, never = datetime(2026, 10, 25, 2, 30), datetime(2026, 3, 29, 2, 30)
    assert clock.first(twice) == utc("2026-10-25T00:30")
    assert clock.last(twice) == utc("2026-10-25T01:30")
    assert clock.first(never) == clock.last(never) == utc("2026-03-29T01:00")


def test_an_hourly_rotation_keeps_to_the_wall() -> None:
    clock = wall_clock("Europe/Berlin")
    rotation = Rotation(("ada", "bob"), "hourly", 12, datetime(2026, 10, 20, 9), clock)
    day = second(datetime(2026, 10, 24, 20))
    found = [
        (clock.at(since * 1_000_000).strftime("%d %H:%M"), (until - since) // HOUR)
        for since, until, _ in turns(rotation, day, day + 30 * HOUR)
    ]
    assert found == [("24 21:00", 13), ("25 09:00", 12), ("25 21:00", 12)]


def test_month_ends() -> None:
    clock = wall_clock("UTC")
    rotation = Rotation(("ada", "bob"), "monthly", 1, datetime(2027, 1, 31, 9), clock)
    start, end = second(datetime(2027, 2, 1)), second(datetime(2027, 6, 1))
    found = [str(clock.at(since * 1_000_000).date()) for since, _, _ in turns(rotation, start, end)]
    assert found == ["2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31"]


def test_times_that_people_write() -> None:
    clock = wall_clock("Europe/Berlin")
    assert read_moment("2026-07-01T09:00", clock) == utc("2026-07-01T07:00")
    assert read_moment("2026-07-01 09:00", clock) == utc("2026-07-01T07:00")
    assert read_moment("2026-07-01T09:00Z", clock) == utc("2026-07-01T09:00")
    assert read_moment("2026-07-01T09:00-04:00", clock) == utc("2026-07-01T13:00")
    assert read_moment("2026-11-20T21:04:31.000001+02:00", clock) == 1_795_201_471_000_001
    for wrong in ("", "tomorrow", "0001-01-01T00:00", "9999-12-31T23:59-12:00", "1e9"):
        with pytest.raises(Invalid):
            read_moment(wrong, clock)
    with pytest.raises(Invalid):
        wall_clock("../etc/passwd")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+90m", "2026-11-20T20:34:31"),
        (" +4h ", "2026-11-20T23:04:31"),
        ("21:00", "2026-11-20T20:00"),
        ("20:04", "2026-11-21T19:04"),
        ("08:00", "2026-11-21T07:00"),
        ("2026-11-24 18:30", "2026-11-24T17:30"),
        ("2026-11-24T18:30+00:00", "2026-11-24T18:30"),
    ],
)
def test_times_that_people_write_are_told_from_now(text: str, expected: str) -> None:
    """At 20:04:31 in Paris, 21:00 is today, 20:04 and 08:00 are tomorrow."""
    now = utc("2026-11-20T19:04:31")
    assert read_time(text, wall_clock("Europe/Paris"), now) == utc(expected)


@pytest.mark.parametrize(
    "text", ["", "tomorrow", "25:00", "+4y", "+999999w", "2026-13-01", "9" * 40]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_time(text, wall_clock("UTC"), utc("2026-11-20T19:04:31"))
    assert "18:00" in str(refused.value.remedy)
