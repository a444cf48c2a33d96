"""Who is on call: lines, calendar strips, overrides, gaps, hand-overs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from watchkeeper.console.blocks import Block, Fact, Line, Prose, Title
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import NOTHING, Span, span
from watchkeeper.console.views.aligned import aligned
from watchkeeper.console.words import moment_text, person_text, until_text
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.wire.base import Shown
from watchkeeper.wire.handover import HandoverRow
from watchkeeper.wire.oncall import Gap, Holder, OverrideRow, RoleRow, ScheduleRow, Shifts

DAYS = 14
"""How many days a strip shows."""
HOUR_CELLS = 2
"""Cells of a strip for one hour."""
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_NOBODY, _SEVERAL = "·", "+"


class Watch(Shown):
    """One line: a role with the schedules behind it, or a schedule that no role uses."""

    name: str
    kind: str
    zone: str = "UTC"
    now: tuple[Holder, ...]
    next_at: int | None = None
    next: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    schedules: tuple[ScheduleRow, ...] = ()
    handovers: tuple[HandoverRow, ...] = ()
    """Those that nobody has acknowledged."""


@dataclass(frozen=True)
class Calendar:
    """The shifts of the schedules behind a line, as far as strips show them."""

    shifts: tuple[Shifts, ...]


def watches(
    roles: Sequence[RoleRow],
    schedules: Sequence[ScheduleRow],
    handovers: Sequence[HandoverRow] = (),
) -> list[Watch]:
    """Return the lines: what nobody covers now first, then what turns, then the others."""
    by_name = {one.schedule: one for one in schedules}
    used = {name for role in roles for name in role.schedules}
    lines = []
    for role in roles:
        behind = tuple(by_name[name] for name in role.schedules if name in by_name)
        given = [
            one for one in handovers if role.role == one.role or one.schedule in role.schedules
        ]
        lines.append(
            Watch(
                name=role.role,
                kind="role",
                zone=behind[0].zone if behind else "UTC",
                now=role.now,
                next_at=role.next_at,
                next=role.next,
                gaps=role.gaps,
                schedules=behind,
                handovers=tuple(given),
            )
        )
    for one in schedules:
        if one.schedule not in used:
            lines.append(
                Watch(
                    name=one.schedule,
                    kind="schedule",
                    zone=one.zone,
                    now=one.now,
                    next_at=one.next_at,
                    next=one.next,
                    gaps=one.gaps,
                    schedules=(one,),
                    handovers=tuple(g for g in handovers if g.schedule == one.schedule),
                )
            )
    return sorted(lines, key=lambda line: (bool(line.now), not line.schedules, line.name))


def cells(row: Watch, moment: Moment) -> Mapping[str, Span]:
    """Return one line."""
    return {
        "role": span(row.name if row.kind == "role" else f"{row.name} (schedule)"),
        "now": _people(row),
        "until": _until(row.next_at, moment),
        "next": span(", ".join(row.next) or "nobody", "text" if row.next else "warning")
        if row.next_at
        else NOTHING,
        "note": _note(row),
    }


def blocks(row: Watch, calendar: Calendar | None, moment: Moment) -> list[Block]:
    """Write who holds it now and next, the days ahead, overrides and gaps."""
    now = ", ".join(_held(one, moment) for one in row.now)
    written: list[Block] = [
        Fact("now", now or "nobody: what asks it goes on to the next level",
             "strong" if now else "critical"),
    ]  # fmt: skip
    if row.next_at:
        who = ", ".join(row.next) or "nobody"
        written.append(Fact("then", f"{who}, from {moment_text(row.next_at, moment.now)}"))
    written += [_handover(one, moment) for one in row.handovers]
    if row.gaps:
        written.append(Title(f"Nobody is on call: {len(row.gaps)} times in the next four weeks"))
        written += [Line([span(_gap(gap, row.zone), "warning")]) for gap in row.gaps[:8]]
    for schedule in row.schedules:
        written.append(Title(f"{schedule.schedule}, in {schedule.zone}"))
        shown = [
            s for s in (calendar.shifts if calendar else ()) if s.schedule == schedule.schedule
        ]
        written += [block for one in shown for block in strip_blocks(one, moment.now)]
        written += _overrides(schedule.overrides, schedule.zone)
    if not row.schedules:
        written.append(Prose("Always the same people: no schedule stands behind it.", "quiet"))
    return written


def strip_blocks(shifts: Shifts, now: int) -> list[Block]:
    """Draw the days ahead: a line a day, a letter for whoever is on call."""
    people = sorted({shift.person for shift in shifts.shifts})
    letters = letters_of(people)
    zone = zone_of(shifts.zone)
    lines = []
    for day, bar in strip(shifts, zone, now, letters):
        tokens = [span(day, "quiet"), span("  ")]
        tokens += [span(bar, "text")]
        lines.append(Line(tokens))
    hours = "".join(f"{hour:<{6 * HOUR_CELLS}}" for hour in (0, 6, 12, 18))
    legend = "  ".join(f"{letters[person]} {person}" for person in people)
    return [
        Line([span(" " * 8 + hours, "quiet")]),
        *lines,
        Prose(f"{legend}  {_NOBODY} nobody  {_SEVERAL} several", "quiet"),
    ]


def strip(
    shifts: Shifts, zone: tzinfo, now: int, letters: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Return each day's name and its bar: who is on call in the middle of each half hour.

    A day of 23 or 25 hours is drawn as the wall clock says, an hour that is missing as the
    one before it.
    """
    first = datetime.fromtimestamp(now // MICROSECONDS, zone).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    days = []
    for number in range(DAYS):
        day = first + timedelta(days=number)
        bar = []
        for cell in range(24 * HOUR_CELLS):
            middle = day + timedelta(minutes=(cell + 0.5) * 60 / HOUR_CELLS)
            at = int(middle.timestamp() * MICROSECONDS)
            here = {s.person for s in shifts.shifts if s.start <= at < s.end}
            if len(here) == 1:
                bar.append(letters[here.pop()])
            else:
                bar.append(_SEVERAL if here else _NOBODY)
        days.append((f"{day:%a %d}", "".join(bar)))
    return days


def letters_of(people: Sequence[str]) -> dict[str, str]:
    """Return one letter a person: the first of the name that nobody else has."""
    taken: dict[str, str] = {}
    for person in people:
        wanted = [letter for letter in person if letter in _LETTERS] + list(_LETTERS)
        free = next((letter for letter in wanted if letter not in taken.values()), "?")
        taken[person] = free
    return taken


def zone_of(name: str) -> tzinfo:
    """Return a zone; UTC where this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def wall_text(at: int, zone: str) -> str:
    """Write a time as the wall clock of a zone shows it."""
    return f"{datetime.fromtimestamp(at // MICROSECONDS, zone_of(zone)):%a %d %b %H:%M}"


def _until(at: int | None, moment: Moment) -> Span:
    if at is None:
        return NOTHING
    return moment.time(at) if moment.absolute else span(until_text(at, moment.now), "quiet")


def _people(row: Watch) -> Span:
    names = ", ".join(one.person for one in row.now)
    return span(names) if names else span("! nobody", "critical")


def _note(row: Watch) -> Span:
    if any(one.mine for one in row.handovers):
        return span("! hand-over", "warning")
    if row.handovers:
        return span("hand-over given", "quiet")
    if row.gaps:
        return span(f"! {len(row.gaps)} gaps", "warning")
    standing = [one for schedule in row.schedules for one in schedule.overrides]
    return span(f"{len(standing)} overrides", "quiet") if standing else NOTHING


def _held(one: Holder, moment: Moment) -> str:
    until = f" until {moment_text(one.until, moment.now)}" if one.until else ""
    return f"{one.person}{until}"


def _gap(gap: Gap, zone: str) -> str:
    return f"{wall_text(gap.start, zone)} – {wall_text(gap.end, zone)}"


def _overrides(rows: Sequence[OverrideRow], zone: str) -> list[Block]:
    if not rows:
        return []
    lines = [
        (
            span(one.words),
            span(f"{wall_text(one.start, zone)} – {wall_text(one.end, zone)}", "quiet"),
            span(f"{one.state}, by {person_text(one.created_by)}: {one.reason}", "quiet"),
        )
        for one in rows
    ]
    return [Title("Overrides"), *aligned(lines)]


def _handover(one: HandoverRow, moment: Moment) -> Block:
    to = f" to {one.to}" if one.to else ""
    when = moment_text(one.given_at, moment.now)
    late = "! nobody has acknowledged it" if one.late else "not acknowledged yet"
    return Fact(
        "hand-over",
        f"by {person_text(one.by)}{to} {when}: {late}",
        "warning" if one.late or one.mine else "text",
    )
