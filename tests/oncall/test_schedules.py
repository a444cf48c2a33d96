"""Schedules: layers, restrictions, fixed shifts, overrides; what is listed agrees with what is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oncall.ground import TEN, layer, utc
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.wall import wall_clock
from watchkeeper.oncall.rotations import RotationKind, Window
from watchkeeper.oncall.schedules import (
    FIXED,
    FORESEEN,
    Changes,
    Layer,
    OnCall,
    Override,
    Schedule,
    Watch,
    gaps,
    next_handover,
    on_call,
    shifts,
)
from watchkeeper.oncall.spans import Spans
from watchkeeper.wire.oncall import OverrideKind

HOUR = 3600 * MICROSECONDS
DAY = 24 * HOUR
WORKDAYS = frozenset(range(5))
NOON = utc("2026-11-18T12:00")  # a Wednesday
WEEKLY = layer("UTC", ("ada", "bob"), "weekly", "2026-11-16T09:00")


def schedule(*layers: Layer, fixed: Sequence[tuple[int, int, str]] = ()) -> Schedule:
    return Schedule("desk", wall_clock("UTC"), layers, Spans(fixed))


def override(
    kind: OverrideKind,
    add: str | None,
    remove: str | None,
    start: int = NOON - HOUR,
    end: int = NOON + HOUR,
    name: str = "ovr_1",
) -> Override:
    return Override(name, "desk", kind, add, remove, start, end)


def changes(*overrides: Override) -> dict[str, Changes]:
    return {"desk": Spans((one.start, one.end, one) for one in overrides)}


def people(watch: Watch, at: int = NOON) -> tuple[str, ...]:
    return tuple(person for person, _ in watch.at(at)[0])


def test_a_later_layer_takes_over_where_it_counts() -> None:
    nights = layer(
        "UTC", ("cay",), "daily", "2026-11-01T00:00", name="nights",
        windows=(Window(frozenset(range(7)), 22 * 60, 30 * 60),),
    )  # fmt: skip
    watch = Watch((schedule(WEEKLY, nights),))
    assert people(watch) == ("ada",)
    assert people(watch, NOON + 11 * HOUR) == people(watch, NOON + 17 * HOUR) == ("cay",)
    assert people(watch, NOON + 18 * HOUR) == ("ada",)
    found = [(one.person, one.by) for one in shifts(watch, NOON, NOON + DAY)]
    assert found == [("ada", "first"), ("cay", "nights"), ("ada", "first")]


def test_follow_the_sun() -> None:
    days = (Window(frozenset(range(7)), 9 * 60, 17 * 60),)
    watch = Watch((schedule(
        layer("Asia/Tokyo", ("ada",), "daily", "2026-11-01T00:00", windows=days, name="east"),
        layer("Europe/Berlin", ("bob",), "daily", "2026-11-01T00:00", windows=days, name="mid"),
        layer("America/Los_Angeles", ("cay",), "daily", "2026-11-01T00:00", windows=days, name="w"),
    ),))  # fmt: skip
    found = [(one.person, one.start - NOON + 12 * HOUR) for one in shifts(watch, NOON - DAY, NOON)]
    assert [person for person, _ in found] == ["bob", "cay", "ada", "bob"]
    assert gaps(watch, NOON, NOON + DAY) == [
        (utc("2026-11-18T16:00"), utc("2026-11-18T17:00")),
    ]


def test_what_starts_later_and_what_has_ended_leaves_a_gap() -> None:
    one = layer("UTC", ("ada", "bob"), "daily", "2026-11-20T09:00", ends="2026-11-22T09:00")
    watch = Watch((schedule(one),))
    assert gaps(watch, NOON, NOON + 10 * DAY) == [
        (NOON, utc("2026-11-20T09:00")),
        (utc("2026-11-22T09:00"), NOON + 10 * DAY),
    ]
    assert next_handover(watch, NOON) == (utc("2026-11-20T09:00"), ("ada",))
    assert next_handover(watch, utc("2026-11-23T00:00")) is None


def test_a_restriction_over_midnight_belongs_to_the_day_it_begins() -> None:
    friday = (Window(frozenset({4}), 22 * 60, 24 * 60 + 6 * 60),)
    watch = Watch((schedule(layer("UTC", ("ada",), "weekly", "2026-11-01T00:00", windows=friday)),))
    assert shifts(watch, NOON, NOON + 7 * DAY)[0].start == utc("2026-11-20T22:00")
    assert shifts(watch, NOON, NOON + 7 * DAY)[0].end == utc("2026-11-21T06:00")


def test_restrictions_that_meet_in_an_hour_that_comes_twice_or_never_leave_no_gap() -> None:
    early, late = (
        layer(
            "Europe/Berlin", (person,), "weekly", "2026-01-05T00:00", name=person,
            windows=(Window(frozenset(range(7)), start, end),),
        )
        for person, start, end in (("ada", 150, 14 * 60), ("bob", 14 * 60, 24 * 60 + 150))
    )  # fmt: skip
    watch = Watch((schedule(early, late),))
    assert gaps(watch, utc("2026-01-06T00:00"), utc("2026-12-31T00:00")) == []
    # 02:30 comes at 00:30 UTC and again at 01:30: who takes over and who leaves are both there
    twice = utc("2026-10-25T01:00")
    assert people(watch, twice) == ("bob",)
    assert people(Watch((schedule(late, early),)), twice) == ("ada",)
    assert people(watch, utc("2026-10-25T01:30")) == ("ada",)


def test_fixed_shifts_take_over_from_every_layer_and_may_overlap() -> None:
    fixed = [(NOON - HOUR, NOON + HOUR, "cay"), (NOON - HOUR, NOON + 2 * HOUR, "dan")]
    watch = Watch((schedule(WEEKLY, fixed=fixed),))
    assert watch.at(NOON)[0] == (("cay", FIXED), ("dan", FIXED))
    assert people(watch, NOON + 2 * HOUR) == ("ada",)


def test_overrides_add_remove_and_replace() -> None:
    desk = schedule(WEEKLY)
    for found, *made in (
        (("ada", "cay"), override("add", "cay", None)),
        ((), override("remove", None, "ada")),
        (("cay",), override("replace", "cay", "ada")),
        (("ada",), override("replace", "cay", "bob")),
        (("ada",), override("remove", None, "bob")),
        (("dan",), override("replace", "cay", "ada"), override("replace", "dan", "cay")),
        (("ada",), override("replace", "cay", "ada"), override("replace", "ada", "cay")),
    ):
        assert people(Watch((desk,), changes(*made))) == found
        assert people(Watch((desk,), changes(*made)), NOON + HOUR) == ("ada",)


def test_until_looks_past_hand_overs_to_the_same_person() -> None:
    both = Watch((schedule(WEEKLY),))
    assert on_call(both, NOON) == (OnCall("ada", utc("2026-11-23T09:00")),)
    alone = Watch((schedule(layer("UTC", ("ada",), "hourly", "2026-11-01T00:00")),))
    assert on_call(alone, NOON) == (OnCall("ada", None),)
    always = Watch((schedule(WEEKLY),), always=frozenset({"cay"}))
    assert on_call(always, NOON)[0] == OnCall("cay", None)
    assert gaps(Watch((), always=frozenset({"cay"})), NOON, NOON + DAY) == []


def test_a_role_of_two_schedules_has_a_gap_where_both_have() -> None:
    day = layer("UTC", ("ada",), "daily", "2026-11-01T00:00",
                windows=(Window(WORKDAYS, 9 * 60, 17 * 60),))  # fmt: skip
    night = layer("UTC", ("bob",), "daily", "2026-11-01T00:00",
                  windows=(Window(WORKDAYS, 16 * 60, 32 * 60),))  # fmt: skip
    watch = Watch((schedule(day), Schedule("night", wall_clock("UTC"), (night,), Spans(()))))
    assert gaps(watch, NOON, NOON + DAY) == [(utc("2026-11-19T08:00"), utc("2026-11-19T09:00"))]


NAMES = ("ada", "bob", "cay", "dan")
windows = st.builds(
    Window,
    st.frozensets(st.integers(0, 6), min_size=1),
    st.integers(0, 1440),
    st.integers(1, 1440),
).map(lambda one: Window(one.days, one.start, one.start + one.end))
moments = st.integers(-200, 200).map(lambda hours: NOON + hours * HOUR // 2)


@st.composite
def watches(draw: st.DrawFn) -> Watch:
    layers = [
        layer(
            draw(st.sampled_from(TEN)),
            tuple(draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3))),
            draw(st.sampled_from(get_args(RotationKind))),
            f"{draw(st.dates(DATES[0], DATES[1]))}T{draw(st.integers(0, 23)):02d}:30",
            every=draw(st.integers(1, 30)),
            windows=tuple(draw(st.lists(windows, max_size=2))),
            name=f"layer-{number}",
        )
        for number in range(draw(st.integers(0, 3)))
    ]
    fixed = draw(st.lists(st.tuples(moments, moments, st.sampled_from(NAMES)), max_size=3))
    made = []
    for number in range(draw(st.integers(0, 4))):
        kind: OverrideKind = draw(st.sampled_from(get_args(OverrideKind)))
        add, remove = draw(st.permutations(NAMES))[:2]
        made.append(
            override(
                kind,
                add if kind != "remove" else None,
                remove if kind != "add" else None,
                draw(moments),
                draw(moments),
                f"ovr_{number}",
            )
        )
    always = draw(st.frozensets(st.sampled_from(NAMES), max_size=0))
    return Watch((schedule(*layers, fixed=fixed),), changes(*made), always)


DATES = tuple(wall_clock("UTC").at(NOON + days * DAY).date() for days in (-200, 20))


@settings(max_examples=150, deadline=None)
@given(watches(), moments, st.lists(st.integers(0, 40 * 24 * 60), min_size=10, max_size=40))
def test_what_is_listed_agrees_with_what_is(watch: Watch, start: int, minutes: list[int]) -> None:
    end = start + 40 * DAY
    listed, uncovered = shifts(watch, start, end), gaps(watch, start, end)
    for shift in listed:
        assert start <= shift.start < shift.end <= end
    for minute in minutes:
        at = start + minute * 60 * MICROSECONDS
        if at >= end:
            continue
        fresh = {person for person, _ in watch.at(at)[0]}
        assert fresh == {one.person for one in listed if one.start <= at < one.end}
        assert (not fresh) == any(since <= at < until for since, until in uncovered)
        for one in on_call(watch, at):
            if one.until is not None:
                assert one.person in people(watch, one.until - 1)
                assert one.person not in people(watch, one.until)
        then = next_handover(watch, at)
        if then is not None:
            assert set(people(watch, then[0] - 1)) == fresh != set(then[1])
            assert set(people(watch, then[0])) == set(then[1])
            assert at < then[0] < at + FORESEEN


@settings(max_examples=150, deadline=None)
@given(watches(), moments)
def test_replacing_who_is_absent_changes_nothing(watch: Watch, at: int) -> None:
    there = people(watch, at)
    made = [override("replace", "eve", "zoe", at - HOUR, at + HOUR)]
    before = watch.overrides["desk"].at(at)[0]
    again = Watch(watch.schedules, changes(*before, *made))
    same = Watch(watch.schedules, changes(*before))
    assert set(people(same, at)) == set(there)
    assert people(again, at) == people(same, at)
