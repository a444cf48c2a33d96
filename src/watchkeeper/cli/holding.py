"""`audit hold`, `audit unhold`, `audit holds`: what is kept from every purge and erasure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from watchkeeper.cli.output import print_json, print_table, say
from watchkeeper.cli.session import REASON, Session, speaks
from watchkeeper.cli.words import at

if TYPE_CHECKING:
    from watchkeeper.wire.erasing import HoldRow
    from watchkeeper.wire.pages import Page

_MOST_NAMED = 3


@click.command(short_help="List legal holds.")
@click.option("--all", "every", is_flag=True, help="Also those that were lifted.")
@speaks()
def holds(session: Session, every: bool) -> None:
    """List what people keep from every purge and erasure, newest first."""
    _show(session, session.call(lambda plane: plane.legal_holds()), every=every)


@click.command(short_help="Keep something from purge and erasure.")
@click.argument("name")
@click.option("--person", "people", multiple=True, metavar="NAME", help="All that is of a person.")
@click.option("--agent", "agents", multiple=True, metavar="AGENT", help="All that is of an agent.")
@click.option("--run", "runs", multiple=True, metavar="RUN", help="All that is of a run.")
@click.option("--request", "requests", multiple=True, metavar="REQUEST", help="A request.")
@click.option("--everything", is_flag=True, help="All there is.")
@REASON
@speaks()
def hold(
    session: Session,
    name: str,
    people: tuple[str, ...],
    agents: tuple[str, ...],
    runs: tuple[str, ...],
    requests: tuple[str, ...],
    everything: bool,
    reason: str,
) -> None:
    """Keep what is named from every purge and erasure, until it is lifted: a legal hold.

    NAME is its own, as `smith-v-acme`. What is refused for its sake names the rule `hold/NAME`.
    """
    from watchkeeper.wire.erasing import PlaceHold

    if not (people or agents or runs or requests or everything):
        raise click.UsageError("say what it holds: --person, --agent, --run, --request, or "
                               "--everything")  # fmt: skip
    body = PlaceHold(
        hold=name,
        people=people,
        agents=agents,
        runs=runs,
        requests=requests,
        everything=everything,
        reason=reason,
    )
    page = session.call(lambda plane: plane.place_hold(body))
    _show(session, page)
    for person in (one for row in page.rows for one in row.unknown):
        say(f"! nothing is kept of {person} so far: what comes later is held", err=True)
        say(f"  try:  if it is misspelt, hold the right name, and lift {name}", err=True)


@click.command(short_help="Lift a legal hold.")
@click.argument("name")
@REASON
@speaks()
def unhold(session: Session, name: str, reason: str) -> None:
    """Lift the legal hold NAME: what it kept goes when its time is over, or may be erased."""
    from watchkeeper.wire.erasing import LiftHold

    body = LiftHold(reason=reason)
    _show(session, session.call(lambda plane: plane.lift_hold(name, body)), every=True)


def _show(session: Session, page: Page[HoldRow], *, every: bool = False) -> None:
    if session.json:
        print_json(page)
        return
    print_table(
        ("HOLD", "SINCE", "BY", "HOLDS", "WHY", "LIFTED"),
        [
            (row.hold, at(row.placed_at), row.placed_by, _named(row.holds), row.reason,
             "-" if row.lifted_at is None else f"{at(row.lifted_at)}: {row.lifted_why}")
            for row in page.rows
            if every or row.lifted_at is None
        ],
    )  # fmt: skip


def _named(held: tuple[str, ...]) -> str:
    shown = sorted(held, key=lambda one: one.startswith("run/"))
    more = len(shown) - _MOST_NAMED
    return ", ".join(shown[:_MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
