"""`watchkeeper oncall`: what it shows, changes, imports and exports."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from icalendar import Calendar

from tests.cli.command import on
from tests.rig.plane import Plane
from watchkeeper.cli.calendars import import_calendar
from watchkeeper.cli.events import read_events
from watchkeeper.core.errors import Invalid, WatchkeeperError
from watchkeeper.core.wall import read_moment, wall_clock
from watchkeeper.registry.source import read_file

BERLIN = wall_clock("Europe/Berlin")
START, END = (read_moment(f"2026-{month}-01T00:00", BERLIN) for month in ("11", "12"))
DOCUMENTS = """
role: {name: sre-oncall, schedules: [sre]}
---
schedule:
  name: sre
  zone: Asia/Kathmandu
  layers: [{name: days, people: [owner, ada], rotation: daily, starts: "2026-01-05T09:00"}]
"""


def calendar(*lines: str, zone: str = "Europe/Berlin") -> str:
    head = ("BEGIN:VCALENDAR", f"X-WR-TIMEZONE:{zone}", "BEGIN:VEVENT", "UID:1", "SUMMARY:ada")
    return "\r\n".join((*head, *lines, "END:VEVENT", "END:VCALENDAR", ""))


def starts(*lines: str) -> list[str]:
    found = read_events(calendar(*lines), "x.ics", zone=None, start=START, end=END)
    return [f"{one.start:%d %H:%M}" for one in found.events]


def test_the_watch_from_the_command_line(plane: Plane) -> None:
    plane.apply(DOCUMENTS)
    shown = on(plane, "oncall", "show")
    assert "sre (Asia/Kathmandu)" in shown.out
    assert "+0545" in shown.out
    listed = on(plane, "oncall", "show", "sre", "--weeks", "1", "--zone", "UTC")
    assert "times in UTC" in listed.out
    assert listed.out.count("days") == 8
    first = on(plane, "oncall", "who", "sre-oncall", "--at", "2026-11-24T09:00", "--json").json()
    second = on(plane, "oncall", "who", "sre-oncall", "--at", "2026-11-24T03:14Z", "--json").json()
    assert first["at"] - second["at"] == 60_000_000  # 09:00 there is 03:15 UTC
    assert {first["people"][0]["person"], second["people"][0]["person"]} == {"owner", "ada"}
    held = on(plane, "oncall", "who", "sre-oncall", "--json").json()["people"][0]["person"]
    other = {"owner": "ada", "ada": "owner"}[held]
    made = on(
        plane, "oncall", "override", "sre", "--replace", held, "--with", other,
        "--until", "2199-01-01T00:00", "--reason", "away",
    )  # fmt: skip
    assert made.code != 0
    assert "366 days at most" in made.err
    tomorrow = wall_clock("Asia/Kathmandu").at(first["at"] + 10**12).strftime("%Y-%m-%dT%H:%M")
    made = on(
        plane, "oncall", "override", "sre", "--replace", held, "--with", other,
        "--until", tomorrow, "--reason", "away", "--json",
    )  # fmt: skip
    assert made.json()["state"] == "now"
    for at in ((), ("--at", "+1h")):
        assert on(plane, "oncall", "who", "sre-oncall", *at).out.startswith(other)
    name = made.json()["override"]
    assert name in on(plane, "oncall", "overrides").out
    assert on(plane, "oncall", "end", name, "--reason", "back").code == 0
    assert on(plane, "oncall", "overrides").out == "There is no override.\n"
    assert "ended" in on(plane, "oncall", "overrides", "--all").out
    assert "all the time" in on(plane, "oncall", "gaps").out
    both = on(plane, "oncall", "override", "sre", "--add", "ada", "--remove", "owner",
              "--until", tomorrow, "--reason", "x")  # fmt: skip
    assert both.code == 2


def test_what_is_exported_can_be_imported(plane: Plane) -> None:
    plane.apply(DOCUMENTS)
    exported = on(plane, "oncall", "export", "sre", "--weeks", "2")
    events = Calendar.from_ical(exported.out).walk("VEVENT")
    assert len(events) == 15
    imported = on(
        plane, "oncall", "import", "-", "--name", "copy", "--weeks", "3", typed=exported.out
    )
    assert (imported.code, imported.err) == (0, "")
    (sourced,) = read_file("copy.yaml", imported.out)
    assert len(yaml.safe_load(imported.out)["schedule"]["shifts"]) == 15
    assert plane.apply(imported.out)["applied"]
    assert sourced.kind == "schedule"
    people = [
        [one["person"] for one in plane.operator.get(f"/v1/oncall/{name}/shifts")["shifts"]]
        for name in ("sre", "copy")
    ]
    assert people[0][:14] == people[1][:14]


def test_events_on_the_wall_of_their_zone() -> None:
    assert starts("DTSTART;TZID=Asia/Tokyo:20261110T090000", "DURATION:PT8H") == ["10 09:00"]
    assert starts("DTSTART:20261110T090000", "DTEND:20261110T170000Z") == ["10 09:00"]
    assert starts("DTSTART;VALUE=DATE:20261110") == ["10 00:00"]
    weekly = "RRULE:FREQ=WEEKLY;BYDAY=MO,WE"
    assert starts("DTSTART:20260105T090000", "DURATION:PT8H", weekly) == [
        f"{day:02d} 09:00" for day in (2, 4, 9, 11, 16, 18, 23, 25, 30)
    ]
    assert starts(
        "DTSTART:20261102T090000", "DURATION:PT8H", f"{weekly};COUNT=4", "EXDATE:20261104T090000",
        "RDATE:20261120T090000",
    ) == ["02 09:00", "09 09:00", "11 09:00", "20 09:00"]  # fmt: skip
    assert starts(
        "DTSTART:20261102T090000", "DURATION:PT8H", "RRULE:FREQ=DAILY;UNTIL=20261104T080000Z"
    ) == ["02 09:00", "03 09:00", "04 09:00"]
    assert starts("DTSTART:20261110T090000", "DURATION:PT8H", "STATUS:CANCELLED") == []


@pytest.mark.parametrize(
    ("lines", "line", "why"),
    [
        (("DTSTART:20261310T090000",), 6, "no date or time"),
        (("DTSTART:99991110T090000",), 6, "no date or time"),
        (("DTSTART;TZID=Mars/Olympus:20261110T090000",), 6, "no time zone"),
        (("DTSTART",), 6, "not a content line"),
        ((), 3, "no DTSTART"),
        (("DTSTART:20261110T090000",), 6, "ends before it begins"),
        (("DTSTART:20261110T090000", "DTEND:20261110T080000"), 7, "ends before it begins"),
        (("DTSTART:20261110T090000", "DURATION:P99W"), 7, "longer than"),
        (("DTSTART:20261110T090000", "DTSTART:20261110T090000"), 7, "too often"),
        (("DTSTART:20261110T090000", "DURATION:8h"), 7, "DURATION"),
        (("DTSTART:20261110", "RRULE:FREQ=SECONDLY"), 7, "FREQ"),
        (("DTSTART:20261110", "RRULE:FREQ=DAILY;INTERVAL=0"), 7, "small numbers"),
        (("DTSTART:20261110", "RRULE:FREQ=DAILY;BYSECOND=1"), 7, "not understood"),
        (("DTSTART:20261110", "RRULE:FREQ=DAILY;BYDAY=XX"), 7, "can't be read"),
        (("DTSTART:19801110", "RRULE:FREQ=DAILY"), 7, "five years"),
        (("X" * 20_000,), 6, "longer than"),
        (("BEGIN:VALARM", "END:VTODO"), 7, "ends nothing"),
    ],
)
def test_a_bad_file_is_told_with_line_and_reason(
    lines: tuple[str, ...], line: int, why: str
) -> None:
    with pytest.raises(Invalid) as caught:
        starts(*lines)
    assert caught.value.where == f"x.ics:{line}"
    assert why in caught.value.message


def test_a_rule_that_nothing_fulfils_ends() -> None:
    never = "RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;COUNT=5"
    assert starts("DTSTART:20260101", never) == []
    # on the days that leap years have, and on none that are not there
    assert starts("DTSTART:20240229", "RRULE:FREQ=YEARLY;BYMONTH=11;BYMONTHDAY=30") == ["30 00:00"]
    assert starts("DTSTART:20240229", "RRULE:FREQ=MONTHLY;BYMONTHDAY=-1") == ["30 00:00"]
    assert starts("DTSTART:20240229", "RRULE:FREQ=YEARLY;BYDAY=-5SU") == ["29 00:00"]


def test_many_events_that_repeat_are_read_up_to_a_bound() -> None:
    event = ("DTSTART:20260101", "RRULE:FREQ=DAILY")
    text = calendar(*event, *("END:VEVENT", "BEGIN:VEVENT", "SUMMARY:ada", *event) * 199)
    year = 365 * 86_400 * 1_000_000
    with pytest.raises(Invalid, match="more than 10,000"):
        read_events(text, "x.ics", zone="UTC", start=START, end=START + year)


@given(
    st.lists(
        st.one_of(
            st.text(max_size=60),
            st.sampled_from(
                (
                    "BEGIN:VCALENDAR", "END:VCALENDAR", "BEGIN:VEVENT", "END:VEVENT",
                    "SUMMARY:ada", "DTSTART:20261110T090000Z", "DTEND:20261111T090000Z",
                    "RRULE:FREQ=DAILY;COUNT=3", "ATTENDEE:mailto:x@y", " folded",
                )
            ),
            st.builds(
                "{}:{}".format,
                st.sampled_from(("DTSTART", "DTEND", "DURATION", "RRULE", "EXDATE", "UID")),
                st.text(max_size=30),
            ),
        ),
        max_size=20,
    )
)  # fmt: skip
def test_whatever_a_file_holds_is_read_or_refused(lines: list[str]) -> None:
    for text in ("\n".join(lines), calendar(*lines)):
        try:
            read_events(text, "x.ics", zone="UTC", start=START, end=END)
        except Invalid as error:
            assert error.where


def test_large_files_and_other_bytes_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.ics"
    for raw, why in ((b"BEGIN:VCALENDAR\n\xff", "not UTF-8"), (b"x" * 2_000_000, "at most")):
        file.write_bytes(raw)
        with pytest.raises(WatchkeeperError, match=why):
            import_calendar(str(file), name="x", zone=None, people=(), weeks=4)
