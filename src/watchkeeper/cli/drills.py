"""`drill` and `drills`: a kill rehearsed without effect."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from watchkeeper.cli.exits import UNCONFIRMED
from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.locks import complete_targets, read_target
from watchkeeper.cli.output import fail, print_facts, print_json, print_table, say, say_line
from watchkeeper.cli.session import AFTER, LIMIT, REASON, Session, speaks
from watchkeeper.cli.words import at
from watchkeeper.core.errors import Invalid
from watchkeeper.core.money import dollars
from watchkeeper.core.words import count

if TYPE_CHECKING:
    from watchkeeper.wire.drills import DrillDetail
    from watchkeeper.wire.locks import Mode

_MOST_SHOWN = 10


@click.command()
@click.argument("target", shell_complete=complete_targets)
@click.option(
    "--mode", type=click.Choice(("stop", "drain", "deny-new", "pause")), default="stop",
    show_default=True, help="What to rehearse; see `watchkeeper kill --help`.",
)  # fmt: skip
@REASON
@speaks()
def drill(session: Session, target: str, mode: Mode, reason: str) -> None:
    """Rehearse a kill of TARGET without effect: nothing is stopped, nobody is told.

    Says what it would stop, who would be told and how, what can't be stopped where, which calls
    it would not refuse, and how long refusing takes. The report is kept as evidence. Exits with 9
    if something would not go as it should.
    """
    from watchkeeper.wire.drills import HoldDrill

    try:
        wanted = read_target(target)
    except Invalid as error:
        fail(error)
    body = HoldDrill(target=wanted, mode=mode, reason=reason)
    found = session.call(lambda plane: plane.hold_drill(body))
    if session.json:
        print_json(found)
    else:
        _show(found)
    if found.report.findings:
        sys.exit(UNCONFIRMED)


@click.group(cls=NamedGroup)
def drills() -> None:
    """List and show drills that were held."""


@drills.command("list", short_help="List drills, newest first.")
@AFTER
@LIMIT
@speaks()
def list_(session: Session, after: str | None, limit: int) -> None:
    """List drills, newest first."""
    page = session.call(lambda plane: plane.drills(after=after, limit=limit))
    if session.json:
        print_json(page)
        return
    if not page.rows:
        say("No drill was held: `watchkeeper drill TARGET --reason …`")
        return
    print_table(
        ("DRILL", "AT", "BY", "MODE", "TARGET", "RUNS", "REFUSED", "LOCK", "FINDINGS"),
        [
            (
                row.drill,
                at(row.at),
                row.by.removeprefix("person/"),
                row.mode,
                row.target.words,
                row.runs,
                f"{row.refused} of {row.checked}",
                f"{row.lock_ms:,.1f} ms",
                row.findings,
            )
            for row in page.rows
        ],
    )
    if page.next is not None:
        say(f"more: --after {page.next}", err=True)


@drills.command(short_help="Show a drill with its report.")
@click.argument("drill")
@speaks()
def show(session: Session, drill: str) -> None:
    """Show DRILL with its report."""
    found = session.call(lambda plane: plane.drill(drill))
    if session.json:
        print_json(found)
    else:
        _show(found)


def _show(found: DrillDetail) -> None:
    report, radius = found.report, found.report.radius
    say_line(f"{found.drill}: rehearsed {found.mode} on {found.target.words}, without effect")
    print_facts(
        [
            ("held", f"{at(found.at)} by {found.by.removeprefix('person/')}"),
            (
                "would stop",
                f"{count(radius.open_runs, 'open run')} of {count(len(radius.agents), 'agent')}, "
                f"{count(radius.in_flight, 'call')} in flight, "
                f"{count(radius.pending_requests, 'pending request')}, "
                f"{dollars(radius.live_holds_micros)} reserved",
            ),
            (
                "calls",
                f"{report.refused:,} of {report.checked:,} refused by it, for "
                f"{count(report.runs, 'open run')} and the next run of "
                f"{count(report.agents, 'agent')}",
            ),
            (
                "refusing",
                f"{report.decide_ms_median:,.3f} ms each in the middle, "
                f"{report.decide_ms_longest:,.3f} ms at the longest",
            )
            if report.decide_ms_longest
            else ("refusing", None),
            (
                "the lock",
                f"{report.lock_ms:,.1f} ms in the store, {report.turn_ms:,.1f} ms with its turn",
            ),
            ("report", f"{found.digest}, entry {found.sequence} of the ledger"),
        ]
    )
    say("effects, as they would be:")
    for one in report.effects:
        party = "" if one.party == "plane" else f"{one.party}: "
        took = f" ({one.after_ms:,.1f} ms)" if one.after_ms is not None else ""
        say_line(f"  {one.state:<14} {one.effect:<17} {party}{one.detail}{took}")
    say("told would be:")
    for person in report.told[:_MOST_SHOWN]:
        by = f"by {person.contact}" if person.contact else "by nothing: no contact is in force"
        say_line(f"  {person.person} ({person.role}), {by}")
    if len(report.told) > _MOST_SHOWN:
        say(f"  and {len(report.told) - _MOST_SHOWN:,} more")
    if report.passing:
        say("not refused by it:")
    for action in report.passing[:_MOST_SHOWN]:
        where = action.run or "its next run"
        rule = f" by {action.rule}" if action.rule else ""
        say_line(
            f"  {action.name} of {action.agent}, {where}: {action.verdict}{rule}: {action.reason}"
        )
    for finding in report.findings:
        say_line(f"! {finding}")
    if not report.findings:
        say("Nothing was found that would not go as it should.")
