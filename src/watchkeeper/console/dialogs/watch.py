"""Questions about the watch: overrides and hand-overs."""

from __future__ import annotations

from collections.abc import Sequence

from watchkeeper.console.blocks import Code, Fact, Line, Prose, Title
from watchkeeper.console.desk import Field, Question, Reply
from watchkeeper.console.painting import span
from watchkeeper.console.views.oncall import wall_text
from watchkeeper.console.words import person_text
from watchkeeper.core.errors import Invalid
from watchkeeper.core.wall import read_time, wall_clock
from watchkeeper.wire.handover import HandoverDetail, HandoverDraft
from watchkeeper.wire.oncall import AddOverride, OverrideKind, OverrideRow, ScheduleRow


def override_question(schedule: ScheduleRow, now: int) -> Question:
    """Ask who comes on call, who goes off, and for how long."""
    known = ", ".join(schedule.people)
    current = ", ".join(one.person for one in schedule.now) or "nobody"
    clock = wall_clock(schedule.zone)

    def when(text: str) -> str | None:
        try:
            read_time(text, clock, now)
        except Invalid as error:
            return error.remedy
        return None

    return Question(
        title=f"Change who is on call in {schedule.schedule}",
        body=[
            Fact("now", current),
            Fact("people", known),
            Fact("zone", schedule.zone),
            Prose("Both names: one for the other. One name: that person as well, or not.", "quiet"),
            Prose("Times: 18:00, 2026-11-24 18:00, or +4h.", "quiet"),
        ],
        confirm="Change it",
        fields=(
            Field("add", "comes on", value=""),
            Field("remove", "goes off", value=""),
            Field("start", "from (empty: now)", lambda text: when(text) if text else None),
            Field("end", "until", when, "+8h"),
        ),
        reason="required",
    )


def override_from(schedule: ScheduleRow, reply: Reply, now: int) -> AddOverride:
    """Return the override that was asked for; raise `Invalid` for one without a person."""
    add, remove = reply.values.get("add") or None, reply.values.get("remove") or None
    if add is None and remove is None:
        raise Invalid("nobody comes on and nobody goes off")
    kind: OverrideKind = "add" if remove is None else "remove" if add is None else "replace"
    start = reply.values.get("start")
    clock = wall_clock(schedule.zone)
    begin = read_time(start, clock, now) if start else None
    end = read_time(reply.values["end"], clock, begin or now)
    if end <= (begin or now):
        raise Invalid("it ends before it begins")
    try:
        return AddOverride(
            schedule=schedule.schedule,
            kind=kind,
            add=add,
            remove=remove,
            start=begin,
            end=end,
            reason=reply.reason or "",
        )
    except ValueError:
        raise Invalid("that is no name of a person") from None


def end_question(rows: Sequence[OverrideRow]) -> Question:
    """Ask which override to end."""

    def number(text: str) -> str | None:
        good = text.isascii() and text.isdigit() and 1 <= int(text) <= len(rows)
        return None if good else f"write a number from 1 to {len(rows)}"

    return Question(
        title="End an override",
        body=[Line([span(f"{n}  {one.words}: {one.reason}")])
              for n, one in enumerate(rows, 1)],
        confirm="End it",
        fields=(Field("number", "which", number, "1"),) if len(rows) > 1 else (),
        reason="required",
    )  # fmt: skip


def give_question(draft: HandoverDraft, text: str) -> Question:
    """Ask before the watch is handed over with these words."""
    to = ", ".join(draft.next) or "whoever holds it next"
    return Question(
        title=f"Hand {draft.role or draft.schedule} over?",
        body=[Fact("to", to), Fact("due", wall_text(draft.due_at, "UTC") + "Z"), Code(text)],
        confirm="Hand over",
        fields=(Field("to", "to (empty: as above)"),),
    )


def acknowledge_question(detail: HandoverDetail) -> Question:
    """Ask to take the watch over, having read all of it."""
    return Question(
        title=f"Take {detail.role or detail.schedule} over from {person_text(detail.by)}?",
        body=[
            Code(detail.text),
            Title("What the plane itself found"),
            *[Fact(section.title, section.summary) for section in detail.sections],
        ],
        confirm="I have the watch",
        reason="optional",
        read_to_end=True,
    )
