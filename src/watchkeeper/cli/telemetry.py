"""`telemetry`: what agents say of themselves, and what the plane exports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from watchkeeper.cli.fleet import say_more
from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import print_json, print_table, say, say_line
from watchkeeper.cli.session import AFTER, LIMIT, REASON, Session, speaks
from watchkeeper.cli.words import at
from watchkeeper.core.money import dollars
from watchkeeper.core.words import count

if TYPE_CHECKING:
    from watchkeeper.wire.telemetry import Export, Intake


@click.group(cls=NamedGroup)
def telemetry() -> None:
    """See to telemetry: that of agents, and the plane's own."""


@telemetry.command(short_help="Show who sends telemetry, and how the plane's is exported.")
@speaks()
def status(session: Session) -> None:
    """Show who sends telemetry, and how the plane's own spans are exported."""
    found = session.call(lambda plane: plane.telemetry())
    if session.json:
        print_json(found)
        return
    say(f"Agents send OTLP over HTTP to {found.address} with a token of theirs;")
    say("see `watchkeeper help telemetry`.")
    _say_intake(found.intake)
    if found.senders:
        print_table(
            ("AGENT", "SPANS", "JOINED", "REJECTED", "LOGS", "POINTS", "LAST"),
            [
                (
                    row.agent,
                    f"{row.spans:,}",
                    f"{row.joined:,}",
                    f"{row.rejected:,}",
                    f"{row.logs:,}",
                    f"{row.points:,}",
                    at(row.last_at),
                )
                for row in found.senders
            ],
        )
    else:
        say("No agent has sent any.")
    if found.refused:
        say(f"{count(found.refused, 'request')} came with a token of nobody:")
        print_table(
            ("FROM", "REQUESTS", "FIRST", "LAST"),
            [(row.source, f"{row.requests:,}", at(row.first_at), at(row.last_at))
             for row in found.strangers],
        )  # fmt: skip
    if found.waiting:
        say(f"{count(found.waiting, 'reported call')} will be looked for in a minute.")
    if found.findings:
        say(f"{count(found.findings, 'finding')}: `watchkeeper telemetry findings`.")
    _say_export(found.export)


def _say_intake(intake: Intake) -> None:
    said = f"{intake.per_second:,.1f} spans a second, {intake.in_hand} of {intake.most} requests "
    said += "in hand"
    for number, words in (
        (intake.turned_away, "told to come again"),
        (intake.broken_off, "broken off, to come again"),
    ):
        said += f", {number:,} {words}" if number else ""
    say(f"{said}.")


def _say_export(export: Export | None) -> None:
    if export is None:
        say("The plane's own spans are not exported: no otlp_url is set.")
        return
    said = f"The plane's own spans go to {export.url}: {export.state}, {export.sent:,} sent"
    for number, words in (
        (export.refused, "refused"),
        (export.lost, "lost"),
        (export.passed_over, "events passed over"),
        (export.behind, "events behind"),
    ):
        said += f", {number:,} {words}" if number else ""
    say_line(said)
    if export.problem:
        say_line(f"  {export.problem}")


@telemetry.command(short_help="Show what agents say they used, beside what was metered.")
@click.option("--agent", metavar="NAME", help="Only of this agent.")
@speaks()
def usage(session: Session, agent: str | None) -> None:
    """Show the tokens and costs that agents report, beside what the plane metered meanwhile.

    These are of one run, or of one hour where no run is known.
    """
    found = session.call(lambda plane: plane.reported_usage(agent=agent))
    if session.json:
        print_json(found)
        return
    if not found.rows:
        say("No agent has reported any.")
        return
    print_table(
        ("AGENT", "RUN", "METRIC", "LAST", "IN", "OUT", "METERED", "COST", "METERED COST"),
        [
            (
                row.agent,
                row.run or "-",
                row.metric,
                at(row.last_at),
                f"{row.input_tokens:,}",
                f"{row.output_tokens:,}",
                "-" if row.metered_tokens is None else f"{row.metered_tokens:,}",
                dollars(row.cost_micros) if row.cost_micros else "-",
                "-" if row.metered_micros is None else dollars(row.metered_micros),
            )
            for row in found.rows
        ],
    )


@telemetry.command(short_help="List calls that no gateway saw, and agents unknown.")
@click.option("--agent", metavar="NAME", help="Only of this agent.")
@click.option("--dismissed", is_flag=True, help="Those that people have dismissed.")
@AFTER
@LIMIT
@speaks()
def findings(
    session: Session, agent: str | None, dismissed: bool, after: str | None, limit: int
) -> None:
    """List what agents report and the plane does not know of, newest first.

    These are calls that no gateway saw, tokens that none metered, and agents that no contract
    names.
    """
    state = "dismissed" if dismissed else "open"
    page = session.call(
        lambda plane: plane.findings(state=state, agent=agent, after=after, limit=limit)
    )
    if session.json:
        print_json(page)
        return
    if not page.rows:
        say("Nothing was dismissed." if dismissed else "Nothing is open.")
        return
    print_table(
        ("FINDING", "LAST", "COUNT", "WHAT", "RUN", "DISMISSED" if dismissed else "TRACE"),
        [
            (
                row.finding,
                at(row.last_at),
                f"{row.count:,}",
                row.text,
                row.run or "-",
                f"{row.dismissed_by}: {row.reason}" if dismissed else row.trace or "-",
            )
            for row in page.rows
        ],
    )
    say_more(page.next)


@telemetry.command(short_help="Take a finding off the list.")
@click.argument("finding")
@REASON
@speaks()
def dismiss(session: Session, finding: str, reason: str) -> None:
    """Take FINDING off the list, until it is found again."""
    row = session.call(lambda plane: plane.dismiss_finding(finding, reason))
    if session.json:
        print_json(row)
        return
    say_line(f"dismissed: {row.text}")
