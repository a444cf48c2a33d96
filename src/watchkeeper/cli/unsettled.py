"""`unsettled`: outcomes that nobody knows, until a person settles them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import print_facts, print_json, print_table, say
from watchkeeper.cli.session import AFTER, LIMIT, REASON, Session, speaks
from watchkeeper.cli.words import at
from watchkeeper.core.clock import utc_text
from watchkeeper.core.durations import duration_text
from watchkeeper.core.money import dollars
from watchkeeper.core.words import count

if TYPE_CHECKING:
    from watchkeeper.wire.health import UnsettledRow


@click.group(cls=NamedGroup)
def unsettled() -> None:
    """List and settle outcomes that nobody knows."""


@unsettled.command("list", short_help="List tool calls that nobody knows the end of.")
@click.option("--settled", is_flag=True, help="Those that people have settled.")
@click.option("--agent", metavar="NAME", help="Only this agent's.")
@AFTER
@LIMIT
@speaks()
def list_(
    session: Session, settled: bool, agent: str | None, after: str | None, limit: int
) -> None:
    """List tool calls of which nobody knows how they ended, oldest first."""
    state = "reconciled" if settled else "unknown"
    page = session.call(
        lambda plane: plane.unsettled(state=state, agent=agent, after=after, limit=limit)
    )
    if session.json:
        print_json(page)
        return
    if page.model_calls and not settled:
        calls = count(page.model_calls, "model call")
        say(f"nobody knows how {calls} ended either, which changes nothing", err=True)
    if not page.rows:
        say("Nobody has settled any." if settled else "It is known how everything ended.")
        return
    now = session.call(lambda plane: plane.status()).now
    print_table(
        (
            "DECISION",
            "RISK",
            "AGENT",
            "OWNER",
            "ACTION",
            "ABOUT",
            "AGE",
            "SETTLED" if settled else "WHY",
        ),
        [
            (
                row.decision,
                row.risk,
                row.agent,
                row.owner or "-",
                row.name,
                _about(row),
                duration_text(now - row.at),
                _settled(row) if settled else row.why,
            )
            for row in page.rows
        ],
    )
    if page.next is not None:
        say(f"more: --after {page.next}", err=True)


@unsettled.command(short_help="Show one: what was permitted, and why.")
@click.argument("decision")
@speaks()
def show(session: Session, decision: str) -> None:
    """Show DECISION: what was permitted, and why nobody knows how it ended."""
    found = session.call(lambda plane: plane.unsettled_outcome(decision))
    if session.json:
        print_json(found)
    else:
        _show(found)


@unsettled.command()
@click.argument("decision")
@click.option("--succeeded", "status", flag_value="succeeded", help="It was done.")
@click.option("--failed", "status", flag_value="failed", help="It was not done.")
@REASON
@speaks()
def reconcile(
    session: Session, decision: str, status: Literal["succeeded", "failed"] | None, reason: str
) -> None:
    """Settle DECISION by your word. The reason says how you know.

    The first word stands: a report of the agent that comes later is refused.
    """
    from watchkeeper.wire.health import Reconcile

    if status is None:
        raise click.UsageError("say how it ended: --succeeded or --failed")
    body = Reconcile(status=status, reason=reason)
    found = session.call(lambda plane: plane.reconcile(decision, body))
    if session.json:
        print_json(found)
    else:
        say(f"Settled: {found.name} of {found.agent} {found.outcome}.")


def _show(row: UnsettledRow) -> None:
    say(f"{row.decision}: {row.outcome}")
    print_facts(
        [
            ("action", row.name),
            ("risk", row.risk),
            ("about", _about(row)),
            ("agent", f"{row.agent}, owned by {row.owner or 'nobody'}"),
            ("run", row.run),
            ("performed by", "the plane" if row.performer == "plane" else "the agent itself"),
            ("approved in", row.request),
            ("permitted", at(row.at)),
            ("unknown since", at(row.since)),
            ("why", row.why),
            ("settled", _settled(row) if row.reconciled else None),
            ("because", row.reconciled.reason if row.reconciled else None),
        ]
    )
    if row.reconciled is None:
        say(f'  settle it:  watchkeeper unsettled reconcile {row.decision} --failed --reason "…"')


def _about(row: UnsettledRow) -> str:
    value = f" {dollars(row.value_micros)}" if row.value_micros else ""
    return f"{row.object or '-'}{value}"


def _settled(row: UnsettledRow) -> str:
    said = row.reconciled
    if said is None:
        return "-"
    return f"{said.status}, by {said.by.removeprefix('person/')} at {utc_text(said.at)}"
