"""Who is on call and what is handed over, in words and strips; what a request's keys then ask."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.console import samples
from tests.console.samples import NOW, moment, read, seconds
from watchkeeper.console.desk import Reply
from watchkeeper.console.dialogs import deciding, handling
from watchkeeper.console.dialogs.watch import (
    acknowledge_question,
    end_question,
    override_from,
    override_question,
)
from watchkeeper.console.views import oncall, quality, request_detail, requests
from watchkeeper.console.views.standing import standing_blocks
from watchkeeper.core.errors import Invalid
from watchkeeper.core.text import cell_width
from watchkeeper.wire.handover import HandoverDetail, HandoverRow, HandoverSection
from watchkeeper.wire.oncall import (
    Gap,
    Holder,
    OverrideRow,
    RoleRow,
    ScheduleRow,
    ShiftRow,
    Shifts,
)
from watchkeeper.wire.quality import Hint, Quality, QualityRow
from watchkeeper.wire.requests import CommentRow, Deciding, Group, VoteRow
from watchkeeper.wire.standing import StandingRow

HOUR, DAY = seconds(3600), seconds(86_400)
HOSTILE = "\x1b]0;owned\x07\x1b[31mred\u202etxt.exe[/red]\r\n▌ approved by ada\x9b2J"


def wall(text: str, zone: str = "Europe/Paris") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 10**6


def shifts(*rows: tuple[str, int, int], zone: str = "UTC") -> Shifts:
    return Shifts(
        schedule="sre",
        zone=zone,
        start=NOW - DAY,
        end=NOW + 15 * DAY,
        shifts=tuple(ShiftRow(person=p, start=s, end=e, by="week") for p, s, e in rows),
        gaps=(),
    )


def override(**changed: Any) -> OverrideRow:
    fields: dict[str, Any] = {
        "override": "ovr_1", "schedule": "sre", "kind": "replace", "add": "bob", "remove": "ada",
        "start": NOW, "end": NOW + HOUR, "state": "now", "reason": "dentist",
        "created_by": "person/ada", "created_at": NOW,
    }  # fmt: skip
    return OverrideRow(**{**fields, **changed})


def schedule(**changed: Any) -> ScheduleRow:
    fields: dict[str, Any] = {
        "schedule": "sre", "zone": "UTC", "people": ("ada", "bob"), "roles": ("sre-oncall",),
        "now": (Holder(person="ada", until=NOW + HOUR),), "next_at": NOW + HOUR,
        "next": ("bob",),
    }  # fmt: skip
    return ScheduleRow(**{**fields, **changed})


def role(name: str, **changed: Any) -> RoleRow:
    fields: dict[str, Any] = {
        "role": name, "members": (), "schedules": ("sre",),
        "now": (Holder(person="ada", until=NOW + HOUR),),
    }  # fmt: skip
    return RoleRow(**{**fields, **changed})


def handover(**changed: Any) -> HandoverRow:
    fields: dict[str, Any] = {
        "handover": "hov_1", "state": "given", "schedule": "sre", "by": "person/bob",
        "since": NOW - DAY, "given_at": NOW - HOUR, "due_at": NOW, "digest": "sha256:0",
        "mine": True,
    }  # fmt: skip
    return HandoverRow(**{**fields, **changed})


def test_what_nobody_covers_stands_first() -> None:
    """Then what turns, then what is always the same people."""
    rows = oncall.watches(
        [
            role("finance", schedules=(), members=("bob",)),
            role("sre-oncall"),
            role("legal", now=(), schedules=()),
        ],
        [schedule(), schedule(schedule="alone", roles=())],
        [handover()],
    )
    assert [row.name for row in rows] == ["legal", "alone", "sre-oncall", "finance"]
    shown = {row.name: oncall.cells(row, moment()) for row in rows}
    assert shown["legal"]["now"].text == "! nobody"
    assert shown["sre-oncall"]["note"].text == "! hand-over"
    assert "no schedule stands behind it" in read(oncall.blocks(rows[3], None, moment()))


def test_a_detail_says_who_until_when_and_what_is_missing() -> None:
    row = oncall.watches(
        [role("sre-oncall", gaps=(Gap(start=NOW + DAY, end=NOW + DAY + HOUR),))],
        [schedule(overrides=(override(reason=HOSTILE),))],
        [handover(late=True)],
    )[0]
    calendar = oncall.Calendar((shifts(("ada", NOW - HOUR, NOW + HOUR)),))
    text = read(oncall.blocks(row, calendar, moment()), 100)
    for words in (
        "ada until",
        "Nobody is on call: 1 times",
        "bob stands in for ada",
        "a ada",
        "· nobody",
    ):
        assert words in text
    assert "nobody has acknowledged it" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_strip_has_a_letter_for_each_half_hour() -> None:
    start = wall("2026-11-20T00:00", "UTC")
    one = shifts(
        ("ada", start + 2 * HOUR, start + 4 * HOUR),
        ("bob", start + 4 * HOUR, start + 6 * HOUR),
        ("ada", start + 5 * HOUR, start + 6 * HOUR),
    )
    letters = oncall.letters_of(["ada", "bob"])
    days = oncall.strip(one, ZoneInfo("UTC"), NOW, letters)
    assert len(days) == oncall.DAYS
    assert days[0] == ("Fri 20", "····aaaabb++" + "·" * 36)


@pytest.mark.parametrize("zone", ["Europe/Paris", "Australia/Lord_Howe", "America/St_Johns"])
def test_a_strip_holds_through_a_change_of_the_clock(zone: str) -> None:
    """Whoever is on call all day long is so in every cell, whatever the day's length."""
    start = wall("2026-03-20T00:00", zone)
    one = shifts(("ada", start - DAY, start + 30 * DAY), zone=zone)
    for now in (start, start + 7 * DAY, start + 14 * DAY):
        bars = {bar for _, bar in oncall.strip(one, ZoneInfo(zone), now, {"ada": "a"})}
        assert bars == {"a" * 48}


@given(st.lists(st.text("abcxyz-.0", min_size=1, max_size=8), unique=True, max_size=26))
def test_everybody_has_a_letter_of_their_own(people: list[str]) -> None:
    letters = oncall.letters_of(people)
    assert len(set(letters.values())) == len(people)
    assert all(cell_width(letter) == 1 for letter in letters.values())


@pytest.mark.parametrize(
    ("values", "kind"),
    [({"add": "bob"}, "add"), ({"remove": "ada"}, "remove"),
     ({"add": "bob", "remove": "ada"}, "replace")],
)  # fmt: skip
def test_the_names_given_say_what_kind_of_override_it_is(values: dict[str, str], kind: str) -> None:
    reply = Reply(True, "dentist", {**values, "end": "+8h"})
    add = override_from(schedule(), reply, NOW)
    assert (add.kind, add.start, add.end) == (kind, None, NOW + 8 * HOUR)


@pytest.mark.parametrize(
    "values",
    [{"end": "+8h"}, {"add": "bob", "start": "+8h", "end": "2026-11-20 20:00"},
     {"add": "No Name", "end": "+1h"}],
)  # fmt: skip
def test_an_override_that_means_nothing_is_not_sent(values: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        override_from(schedule(), Reply(True, "why", values), NOW)


def test_the_questions_of_the_watch() -> None:
    """What can be wrong is said before it is sent; a hand-over is read to its end."""
    fields = {field.key: field for field in override_question(schedule(), NOW).fields}
    assert fields["end"].check("never")
    assert fields["end"].check("+2h") is None
    assert end_question([override()]).fields == ()
    (which,) = end_question([override(), override()]).fields
    assert which.check("3")
    assert which.check("2") is None
    section = HandoverSection(part="open", title="Open", summary="3 wait, 1 late")
    detail = HandoverDetail(
        **handover().model_dump(), text=HOSTILE, edited=True, sequence=1, sections=(section,)
    )
    question = acknowledge_question(detail)
    assert question.read_to_end
    assert "3 wait, 1 late" in read(list(question.body))
    assert "\x1b" not in read(list(question.body))


def test_a_request_says_who_must_agree_and_what_a_vote_takes() -> None:
    detail = samples.request_detail(
        approvals=1,
        quorum=3,
        groups=(Group(role="sre-oncall", count=2, have=1), Group(role="owner", count=1)),
        asked=("sre-oncall", "person/eve", "owner"),
        on_call=("sre-oncall: ada until 18:00Z",),
        deciding=Deciding(signed=True, reason=True, view_seconds=5, read_to_end=True),
        suspicious=("arguments.to: U+202E reverses what follows",),
        acknowledged_by="person/bob",
        acknowledged_until=NOW + HOUR,
        caller_gone=True,
        comments=(CommentRow(person="person/bob", text=HOSTILE, at=NOW),),
        votes=(
            VoteRow(person="person/ada", role="sre-oncall", verdict="approve", at=NOW,
                    acting_for="person/eve", key="SHA256:abc"),
        ),
    )  # fmt: skip
    text = read(request_detail.detail_blocks(detail, moment()), 100)
    for words in (
        "… sre-oncall: 1 of 2",
        "… owner: 0 of 1",
        "waits for 1 of sre-oncall or person/eve and 1 of owner",
        "ada until 18:00Z",
        "your SSH signature, a reason, 5 s of reading, reading to the end",
        "! arguments.to: U+202E",
        "bob is on it until",
        "The caller hung up",
        "ada for eve (sre-oncall, signed with SHA256:abc)",
        "What people said",
    ):
        assert words in text
    assert "\x1b" not in text
    assert requests.state_cell(detail).text == "bob on it"


def test_what_was_approved_alone_asks_to_be_reviewed() -> None:
    fields = {"state": "redeemed", "break_glass": True, "decided_by": "person/ada"}
    open_ = samples.request_detail(**fields, review_due_at=NOW + HOUR)
    assert "somebody else must review it" in read(request_detail.detail_blocks(open_, moment()))
    assert requests.state_cell(open_).text == "! to review"
    done = samples.request_detail(**fields, reviewed_by="person/bob", review_verdict="justified")
    assert "reviewed by bob: justified" in read(request_detail.detail_blocks(done, moment()))


@pytest.mark.parametrize(("risk", "to_end"), [("medium", False), ("high", True)])
def test_high_risk_is_read_to_its_end_before_it_is_approved(risk: str, to_end: bool) -> None:
    question = deciding.approve_question(samples.request_detail(risk=risk))
    assert question.read_to_end == to_end
    assert ("amount_usd" in read(list(question.body))) == to_end


def test_only_what_asks_the_same_is_approved_together() -> None:
    rows = [
        samples.request_row(request=f"req_{n}", risk="low", alike="a" if n else "b")
        for n in range(3)
    ]
    assert "2 kinds" in (deciding.why_not_together(rows, "approve") or "")
    assert deciding.why_not_together(rows[1:], "approve") is None
    assert deciding.why_not_together(rows, "reject") is None
    signed = [row.model_copy(update={"signed": True}) for row in rows[1:]]
    assert "signature" in (deciding.why_not_together(signed, "approve") or "")


def test_narrowing_offers_what_the_tool_lets_be_narrowed() -> None:
    detail = samples.request_detail(
        arguments={"amount_usd": 250, "to": ["a", "b"], "note": "x", "charge_id": "ch_81"},
        edits={"amount_usd": "lower", "to": "fewer", "note": "words"},
    )
    fields = {field.key: field for field in handling.narrow_question(detail).fields}
    assert (fields["amount_usd"].value, fields["to"].value) == ("250", '["a", "b"]')
    assert fields["amount_usd"].check("a lot")
    assert fields["to"].check("a")
    reply = Reply(True, None, {"amount_usd": "100", "to": '["a"]', "note": "x"})
    assert handling.narrowed(detail, reply) == {
        "amount_usd": 100, "to": ["a"], "note": "x", "charge_id": "ch_81",
    }  # fmt: skip
    assert handling.why_not_narrow(samples.request_detail())


def test_a_standing_approval_is_asked_for_within_bounds() -> None:
    detail = samples.request_detail()
    question = handling.standing_question(detail)
    fields = {field.key: field for field in question.fields}
    assert question.danger
    assert fields["pin"].check("nothing")
    assert fields["pin"].check("amount_usd") is None
    assert fields["uses"].check("0")
    assert fields["hours"].check("721")
    assert fields["each"].check("much")
    values = {"pin": "amount_usd", "uses": "20", "hours": "24", "each": "$5", "total": ""}
    asked = handling.proposal_of(detail, Reply(True, "month end", values))
    assert (asked.pin, asked.uses, asked.seconds) == (("amount_usd",), 20, 86_400)
    assert (asked.each_micros, asked.total_micros) == (5_000_000, None)


def test_figures_say_what_they_are_of_and_shame_nobody() -> None:
    rows = (
        QualityRow(name="legal", decisions=3, enough=False),
        QualityRow(name="sre-oncall", decisions=40, enough=True, decide_seconds_median=75,
                   view_seconds_median=12.4, unread_share=0.25, overridden_share=0.0, late=4,
                   pending=2, holders=1),
    )  # fmt: skip
    whole = QualityRow(name="all", decisions=43, enough=True, judged=2, wrong=1)
    found = Quality(by="role", since=0, until=NOW, everything=whole, rows=rows)
    text = read(quality.quality_blocks([found]), 100)
    for words in ("43 votes", "2, of which 1 were found wrong", "too few", "1 min", "25%"):
        assert words in text
    assert text.index("legal") < text.index("sre-oncall")
    empty = found.model_copy(update={"everything": QualityRow(name="", decisions=0, enough=False)})
    assert "Nothing was decided" in read(quality.quality_blocks([empty]))


def test_hints_name_what_repeats() -> None:
    hint = Hint(kind="standing", alike="x", agent="clerk", tool="books.note", count=7,
                text=f"approved 7 times{HOSTILE}", requests=("req_1",))  # fmt: skip
    text = read(quality.hint_blocks([hint]))
    assert "clerk → books.note" in text
    assert "\x1b" not in text
    assert "Nothing repeats" in read(quality.hint_blocks([]))


def test_what_stands_says_its_bounds_and_what_is_left() -> None:
    row = StandingRow(
        standing="std_1", state="standing", agent="clerk", tool="books.note",
        pins={"text": HOSTILE}, uses=3, max_uses=20, each_micros=5_000_000,
        used_micros=12_000_000, total_micros=50_000_000, seconds=3600, expires_at=NOW + HOUR,
        risk="low", reason="month end", request="req_1", proposed_by="person/ada", proposed_at=NOW,
        approved_by=("person/bob",),
    )  # fmt: skip
    text = read(standing_blocks([row], moment()), 100)
    for words in (
        "3 of 20 used",
        "$5.00 a call, $12.00 of $50.00 in all",
        "until",
        "approved by  bob",
    ):
        assert words in text
    assert "\x1b" not in text
    free = row.model_copy(update={"pins": {}, "total_micros": None, "each_micros": None})
    assert "arguments    any" in read(standing_blocks([free], moment()))
    assert "Nothing was agreed" in read(standing_blocks([], moment()))


def test_voting_for_somebody_is_said_before_it_is_done() -> None:
    detail = samples.request_detail(acting_for="eve")
    assert "you vote for eve" in read(list(deciding.approve_question(detail).body))
