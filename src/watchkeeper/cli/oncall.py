"""`oncall`: who is on call, shifts, gaps; overrides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import fail, print_json, print_table, say, say_line
from watchkeeper.cli.session import REASON, Session, speaks
from watchkeeper.cli.words import left
from watchkeeper.core.errors import NotFound
from watchkeeper.core.wall import WallClock, read_time, wall_clock
from watchkeeper.core.words import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from watchkeeper.client.api import PlaneClient
    from watchkeeper.wire.oncall import Gap, Holder, OnCall, OverrideRow, ScheduleRow, Shifts

_WEEK = 7 * 86_400 * 1_000_000
_SHOWN_GAPS = 5
_ZONE = click.option("--zone", metavar="ZONE", help="Show times in this zone.")
_WEEKS = click.option(
    "--weeks", type=click.IntRange(1, 52), default=4, show_default=True, help="How far ahead."
)


@click.group(cls=NamedGroup)
def oncall() -> None:
    """Who is on call: roles, schedules, shifts, overrides, gaps."""


@oncall.command(short_help="Who is on call now and next; a schedule's shifts.")
@click.argument("schedule", required=False)
@_WEEKS
@_ZONE
@speaks()
def show(session: Session, schedule: str | None, weeks: int, zone: str | None) -> None:
    """Show who holds each role and is on call in each SCHEDULE, now and next.

    With a schedule: its shifts, overrides and gaps in the next weeks.
    """
    if schedule is not None:
        shifts = session.call(lambda plane: shifts_of(plane, schedule, weeks))
        if session.json:
            print_json(shifts)
        else:
            rows = session.call(lambda plane: plane.overrides(schedule=schedule)).rows
            _show_shifts(shifts, rows, _clock(zone, shifts.zone))
        return
    found = session.call(lambda plane: plane.oncall())
    if session.json:
        print_json(found)
    else:
        _show_all(found, zone)


@oncall.command()
@click.argument("role")
@click.option("--at", "at_", metavar="TIME", help="Then, instead of now.")
@_ZONE
@speaks()
def who(session: Session, role: str, at_: str | None, zone: str | None) -> None:
    """Say who holds ROLE, now or at a time."""

    async def ask(plane: PlaneClient) -> tuple[object, WallClock]:
        on_call = await plane.oncall()
        clock = _clock(zone, _zone_of_role(on_call, role))
        moment = None if at_ is None else read_time(at_, clock, on_call.at)
        return await plane.who(role, at=moment), clock

    found, clock = session.call(ask)
    from watchkeeper.wire.oncall import Who

    assert isinstance(found, Who)
    if session.json:
        print_json(found)
        return
    if not found.people:
        say(f"Nobody holds {role} at {_at(found.at, clock)}.")
    for one in found.people:
        say(_holder(one, clock))


@oncall.command(short_help="Put somebody on call or take them off for a time.")
@click.argument("schedule")
@click.option("--add", "add", metavar="PERSON", help="Comes on call beside who is.")
@click.option("--remove", "remove", metavar="PERSON", help="Goes off call.")
@click.option(
    "--replace", "replace", metavar="PERSON", help="Goes off call, and --with is instead."
)
@click.option("--with", "instead", metavar="PERSON", help="Stands in, with --replace.")
@click.option("--from", "start", metavar="TIME", help="Absent: from now on.")
@click.option("--until", "end", metavar="TIME", required=True, help="The end.")
@REASON
@speaks()
def override(
    session: Session,
    schedule: str,
    add: str | None,
    remove: str | None,
    replace: str | None,
    instead: str | None,
    start: str | None,
    end: str,
    reason: str,
) -> None:
    """Change who is on call in SCHEDULE for a time.

    Times are on the wall of the schedule's zone (18:00 or 2026-12-24T18:00) unless they carry an
    offset or Z; +4h is so long from now, or from --from. A replacement counts only while the
    person it replaces is on call.
    """
    from watchkeeper.wire.oncall import AddOverride, OverrideKind

    given = [one for one in (add, remove, replace) if one is not None]
    if len(given) != 1 or (replace is None) != (instead is None):
        raise click.UsageError("give one of --add, --remove, or --replace together with --with")
    kind: OverrideKind = "add" if add else "remove" if remove else "replace"

    async def change(plane: PlaneClient) -> tuple[OverrideRow, WallClock]:
        on_call = await plane.oncall()
        clock = wall_clock(_schedule(on_call, schedule).zone)
        begin = None if start is None else read_time(start, clock, on_call.at)
        body = AddOverride(
            schedule=schedule,
            kind=kind,
            add=add or instead,
            remove=remove or replace,
            start=begin,
            end=read_time(end, clock, begin or on_call.at),
            reason=reason,
        )
        return await plane.add_override(body), clock

    made, clock = session.call(change)
    if session.json:
        print_json(made)
    else:
        say(f"{made.override}: {made.words} in {made.schedule}, {_span(made, clock)}.")


@oncall.command()
@click.argument("schedule", required=False)
@click.option("--all", "every", is_flag=True, help="Past and ended ones too.")
@_ZONE
@speaks()
def overrides(session: Session, schedule: str | None, every: bool, zone: str | None) -> None:
    """List overrides of now and later, of one SCHEDULE or all."""
    state = "all" if every else "standing"
    found = session.call(lambda plane: plane.overrides(schedule=schedule, state=state))
    if session.json:
        print_json(found)
    elif not found.rows:
        say("There is no override.")
    else:
        known = session.call(lambda plane: plane.oncall()).schedules
        zones = {one.schedule: one.zone for one in known}
        _print_overrides(found.rows, zones, zone)


@oncall.command()
@click.argument("override_id", metavar="OVERRIDE")
@REASON
@speaks()
def end(session: Session, override_id: str, reason: str) -> None:
    """End an override now, or before it begins."""
    from watchkeeper.wire.oncall import EndOverride

    body = EndOverride(reason=reason)
    found = session.call(lambda plane: plane.end_override(override_id, body))
    if session.json:
        print_json(found)
    else:
        say(f"Ended: {found.words} in {found.schedule}.")


@oncall.command(short_help="When nobody is on call in the next four weeks.")
@_ZONE
@speaks()
def gaps(session: Session, zone: str | None) -> None:
    """List when nobody is on call for a role within the next four weeks."""
    found = session.call(lambda plane: plane.oncall())
    if session.json:
        print_json(found)
        return
    zones = {one.schedule: one.zone for one in found.schedules}
    rows = []
    for role in found.roles:
        clock = _clock(zone, next((zones[s] for s in role.schedules if s in zones), "UTC"))
        rows += [(f"role {role.role}", *_gap(gap, clock)) for gap in role.gaps]
    for one in found.schedules:
        if one.roles:
            continue  # what matters is whether somebody holds the role
        clock = _clock(zone, one.zone)
        rows += [(f"schedule {one.schedule}", *_gap(gap, clock)) for gap in one.gaps]
    if rows:
        print_table(("NOBODY ON CALL", "FROM", "TO", "ZONE", "FOR"), rows)
    else:
        say("Somebody is on call all the time in the next four weeks.")


@oncall.command("import", short_help="Turn an iCalendar file into a schedule document.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--name", required=True, metavar="NAME", help="The schedule's name.")
@click.option("--zone", metavar="ZONE", help="For times without one; default: the calendar's.")
@click.option(
    "--person",
    "people",
    multiple=True,
    metavar="TEXT=NAME",
    help="Who is meant by a summary or an attendee; may be repeated.",
)
@_WEEKS
def import_(file: str, name: str, zone: str | None, people: tuple[str, ...], weeks: int) -> None:
    """Print FILE's events as a schedule document, to be reviewed and applied.

    Events that repeat are written out for the weeks ahead. Nothing is sent to a plane.
    """
    from watchkeeper.cli.calendars import import_calendar
    from watchkeeper.core.errors import WatchkeeperError

    try:
        text = import_calendar(file, name=name, zone=zone, people=people, weeks=weeks)
    except WatchkeeperError as error:
        fail(error)
    click.echo(text, nl=False)


@oncall.command(short_help="Print shifts as an iCalendar file.")
@click.argument("schedule")
@_WEEKS
@speaks(json=False)
def export(session: Session, schedule: str, weeks: int) -> None:
    """Print the shifts of SCHEDULE as an iCalendar file, overrides counted."""
    from watchkeeper.cli.calendars import export_calendar

    shifts = session.call(lambda plane: shifts_of(plane, schedule, weeks))
    click.echo(export_calendar(shifts), nl=False)


async def shifts_of(plane: PlaneClient, schedule: str, weeks: int) -> Shifts:
    """Read a schedule's shifts from now on."""
    start = (await plane.status()).now
    return await plane.shifts(schedule, start=start, end=start + weeks * _WEEK)


def _show_all(found: OnCall, zone: str | None) -> None:
    if not found.roles:
        say("No role is defined. See `watchkeeper help oncall`.")
        return
    zones = {one.schedule: one.zone for one in found.schedules}
    rows = []
    for role in found.roles:
        clock = _clock(zone, next((zones[s] for s in role.schedules if s in zones), "UTC"))
        rows.append(
            (
                role.role,
                ", ".join(_name(one) for one in role.now) or "nobody",
                _next(role.next, role.next_at, clock),
                ", ".join(role.schedules) or "-",
                count(len(role.gaps), "gap") if role.gaps else "-",
            )
        )
    print_table(("ROLE", "HELD BY", "NEXT", "SCHEDULES", "FOUR WEEKS"), rows)
    for one in found.schedules:
        clock = _clock(zone, one.zone)
        say()
        say(f"{one.schedule} ({one.zone})")
        for holder in one.now:
            say(f"  on call  {_holder(holder, clock)}")
        if not one.now:
            say("  ! nobody is on call now")
        if one.next_at is not None:
            say(f"  next     {_next(one.next, one.next_at, clock)}")
        for row in one.overrides:
            say_line(f"  override {row.override}: {row.words}, {_span(row, clock)}: {row.reason}")
        _say_gaps(one.gaps, clock, "  ")


def _show_shifts(found: Shifts, rows: Sequence[OverrideRow], clock: WallClock) -> None:
    say(f"{found.schedule}, times in {clock.name}")
    print_table(
        ("PERSON", "FROM", "TO", "FOR", "BY"),
        [
            (
                one.person,
                _at(one.start, clock),
                _at(one.end, clock),
                _for(one.start, one.end),
                one.by,
            )
            for one in found.shifts
        ],
    )
    for row in rows:
        say_line(f"override {row.override}: {row.words}, {_span(row, clock)}: {row.reason}")
    _say_gaps(found.gaps, clock, "")


def _say_gaps(found: Sequence[Gap], clock: WallClock, indent: str) -> None:
    for gap in found[:_SHOWN_GAPS]:
        start, to, _, length = _gap(gap, clock)
        say(f"{indent}! nobody from {start} to {to} ({length})")
    if len(found) > _SHOWN_GAPS:
        more = count(len(found) - _SHOWN_GAPS, "more gap")
        say(f"{indent}! and {more}: `watchkeeper oncall gaps`")


def _print_overrides(rows: Iterable[OverrideRow], zones: dict[str, str], zone: str | None) -> None:
    print_table(
        ("OVERRIDE", "SCHEDULE", "STATE", "DOES", "FROM", "UNTIL", "BY", "REASON"),
        [
            (
                row.override,
                row.schedule,
                row.state,
                row.words,
                _at(row.start, clock),
                _at(row.end, clock),
                row.created_by.removeprefix("person/"),
                row.reason,
            )
            for row in rows
            for clock in (_clock(zone, zones.get(row.schedule, "UTC")),)
        ],
    )


def _schedule(found: OnCall, name: str) -> ScheduleRow:
    for one in found.schedules:
        if one.schedule == name:
            return one
    raise NotFound(
        f"there is no schedule {name!r:.80}",
        remedy="there are: " + (", ".join(one.schedule for one in found.schedules) or "none"),
    )


def _zone_of_role(found: OnCall, role: str) -> str:
    names = next((one.schedules for one in found.roles if one.role == role), ())
    return next((one.zone for one in found.schedules if one.schedule in names), "UTC")


def _clock(zone: str | None, usual: str) -> WallClock:
    return wall_clock(zone or usual)


def _at(moment: int, clock: WallClock) -> str:
    return f"{clock.aware(moment):%a %Y-%m-%d %H:%M %z}"


def _for(start: int, end: int) -> str:
    return left(end, start)


def _gap(gap: Gap, clock: WallClock) -> tuple[str, str, str, str]:
    return _at(gap.start, clock), _at(gap.end, clock), clock.name, _for(gap.start, gap.end)


def _name(holder: Holder) -> str:
    return "anybody" if holder.person == "*" else holder.person


def _holder(holder: Holder, clock: WallClock) -> str:
    until = "always" if holder.until is None else f"until {_at(holder.until, clock)}"
    return f"{_name(holder)} {until}"


def _next(people: Sequence[str], at: int | None, clock: WallClock) -> str:
    if at is None:
        return "-"
    return f"{', '.join(people) or 'nobody'} at {_at(at, clock)}"


def _span(row: OverrideRow, clock: WallClock) -> str:
    return f"{_at(row.start, clock)} to {_at(row.end, clock)}"
