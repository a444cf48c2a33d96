"""Statistics of approving, against the plainest way to work them out."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.approvals.quality import rules
from watchkeeper.approvals.quality.hints import (
    OFTEN,
    Approved,
    Waiting,
    common_pins,
    hint_group,
    hint_standing,
)
from watchkeeper.approvals.quality.model import Cast, Ends, Load
from watchkeeper.approvals.quality.rules import (
    Tally,
    by_name,
    count,
    is_late,
    is_unread,
    rank,
    sum_tallies,
    summarise,
)
from watchkeeper.core.digest import canonical
from watchkeeper.wire.quality import CHARACTERS_PER_SECOND, FEWEST

SECOND = 1_000_000
HOUR = 3600 * SECOND


@st.composite
def casts(draw: st.DrawFn) -> Cast:
    created_at = draw(st.integers(0, 5 * HOUR))
    sla = draw(st.integers(1, HOUR))
    approved = draw(st.booleans())
    judged: Literal["right", "wrong"] | None = draw(st.sampled_from([None, None, "right", "wrong"]))
    return Cast(
        person=draw(st.sampled_from(["ada", "bob", "eve"])),
        role=draw(st.sampled_from(["ops", "lead"])),
        tool=draw(st.sampled_from(["a.x", "a.y"])),
        approved=approved,
        created_at=created_at,
        decide_by=created_at + sla,
        at=created_at + draw(st.integers(0, sla)),
        view_ms=draw(st.none() | st.integers(0, 100_000)),
        characters=draw(st.integers(0, 5000)),
        undone=approved and draw(st.booleans()),
        judged=judged,
    )


@given(st.lists(casts(), max_size=40), st.sampled_from(["person", "role", "tool"]))
def test_each_figure_is_what_counting_by_hand_gives(found: list[Cast], by: Any) -> None:
    tallies = count(found, by)
    rows = by_name(tallies, {}, {})
    assert [row.name for row in rows] == sorted({getattr(cast, by) for cast in found})
    whole = summarise("", sum_tallies(tallies.values()))
    for row in (*rows, whole):
        mine = [cast for cast in found if not row.name or getattr(cast, by) == row.name]
        approvals = [cast for cast in mine if cast.approved]
        assert (row.decisions, row.approved) == (len(mine), len(approvals))
        assert row.enough is (len(mine) >= FEWEST)
        if not row.enough:
            said = row.model_dump(exclude_defaults=True)
            assert set(said) <= {"name", "decisions", "approved", "enough"}
            continue
        waits = [(cast.at - cast.created_at) / SECOND for cast in mine]
        at_most_half = [w for w in waits if sum(x <= w for x in waits) * 2 >= len(waits)]
        assert row.decide_seconds_median == min(at_most_half)
        most = [w for w in waits if sum(x <= w for x in waits) * 100 >= 95 * len(waits)]
        assert row.decide_seconds_p95 == min(most)
        timed = [cast for cast in approvals if cast.view_ms is not None]
        unread = [
            c for c in timed if (c.view_ms or 0) / 1000 * CHARACTERS_PER_SECOND < c.characters
        ]
        assert row.timed == len(timed)
        assert row.unread_share == (len(unread) / len(timed) if timed else None)
        wrong = [cast for cast in approvals if cast.undone or cast.judged == "wrong"]
        assert row.overridden_share == (len(wrong) / len(approvals) if approvals else None)
        assert row.judged == sum(cast.judged is not None for cast in mine)
        assert row.wrong == sum(cast.judged == "wrong" for cast in mine)
        late = [c for c in mine if (c.decide_by - c.at) * 10 <= c.decide_by - c.created_at]
        assert row.late == len(late)
        yes = sum(cast.approved for cast in late)
        assert row.late_approved_share == (yes / len(late) if late else None)
        hours = {cast.at // HOUR for cast in mine}
        assert row.per_hour == pytest.approx(len(mine) / len(hours))


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.integers(1, 100))
def test_a_rank_is_the_first_value_that_enough_reach(values: list[float], percent: int) -> None:
    values.sort()
    assert rank(values, percent) == values[math.ceil(percent * len(values) / 100) - 1]


def test_nothing_is_said_of_nothing() -> None:
    assert rank([], 50) is None
    row = summarise("ada", Tally(), Ends(4, 4, 4), Load(2, 1))
    assert (row.enough, row.expired_share, row.requests, row.pending) == (False, None, 4, 2)
    assert summarise("ops", Tally(), Ends(5, 1, 2)).expired_share == 0.2


def test_reading_takes_as_long_as_reading_takes() -> None:
    cast = Cast("ada", "ops", "x", True, 0, 100 * SECOND, SECOND, 4000, 100, False, None)
    assert not is_unread(cast)
    assert is_unread(cast._replace(view_ms=3999))
    assert not is_unread(cast._replace(view_ms=None))


def test_the_last_tenth_of_the_time_is_late() -> None:
    cast = Cast("ada", "ops", "x", True, 0, 100 * SECOND, 90 * SECOND, None, 0, False, None)
    assert is_late(cast)
    assert not is_late(cast._replace(at=90 * SECOND - 1))


OFTEN_APPROVED = Approved(
    alike="a",
    agent="clerk",
    tool="books.create_refund",
    risk="high",
    approved=OFTEN,
    rejected=0,
    requests=("req_2", "req_1"),
    arguments=({"charge_id": "ch_1", "n": 1}, {"charge_id": "ch_1", "n": 2}),
    most_micros=20,
)


def test_what_is_approved_again_and_again_may_stand() -> None:
    hint = hint_standing(OFTEN_APPROVED, [])
    assert hint is not None
    assert (hint.kind, hint.pins, hint.each_micros) == ("standing", {"charge_id": "ch_1"}, 20)
    elsewhere = [("clerk", "books.create_refund", {"charge_id": "ch_2"})]
    assert hint_standing(OFTEN_APPROVED, elsewhere) is not None


@pytest.mark.parametrize(
    "found",
    [
        replace(OFTEN_APPROVED, approved=OFTEN - 1),
        replace(OFTEN_APPROVED, rejected=1),
        replace(OFTEN_APPROVED, risk="critical"),
        replace(OFTEN_APPROVED, arguments=({"charge_id": "ch_1"}, {"charge_id": "ch_2"})),
    ],
)
def test_no_hint_where_people_did_not_agree_on_the_same(found: Approved) -> None:
    assert hint_standing(found, []) is None


def test_no_hint_for_what_stands_already() -> None:
    stands = [("clerk", "books.create_refund", {"charge_id": "ch_1"})]
    assert hint_standing(OFTEN_APPROVED, stands) is None


def test_many_that_wait_are_grouped() -> None:
    waiting = Waiting("a", "clerk", "books.create_refund", OFTEN, ("req_1",), 7)
    hint = hint_group(waiting)
    assert hint is not None
    assert (hint.kind, hint.count, hint.decide_by) == ("group", OFTEN, 7)
    assert hint_group(replace(waiting, count=OFTEN - 1)) is None


values = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["a", "A", "", 1.0, 1.5])


@given(st.lists(st.dictionaries(st.sampled_from("abc"), values), min_size=1, max_size=6))
def test_common_pins_are_what_every_call_has(calls: list[dict[str, Any]]) -> None:
    pins = common_pins(calls)
    for name in {name for call in calls for name in call}:
        same = all(name in call for call in calls) and (
            len({canonical(call[name]) for call in calls}) == 1
        )
        assert (name in pins) is same


@given(st.lists(st.floats(-5, 5), max_size=30), st.integers(1, 7))
def test_sorting_in_pieces_sorts(values: list[float], piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "_AT_ONCE", piece)
        assert rules.in_order(values) == sorted(values)
