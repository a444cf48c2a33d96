"""`breakers`: what trips, why, and closing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import fail, print_facts, print_json, print_table, say, say_line
from watchkeeper.cli.session import LIMIT, REASON, Session, speaks
from watchkeeper.cli.words import at
from watchkeeper.core.errors import NotFound
from watchkeeper.core.money import dollars

if TYPE_CHECKING:
    from watchkeeper.wire.breakers import BreakerRow


@click.group(cls=NamedGroup)
def breakers() -> None:
    """List, show and reset circuit breakers."""


@breakers.command("list")
@click.option("--open", "only_open", is_flag=True, help="Only those that are not closed.")
@click.option("--agent", metavar="NAME", help="Only this agent's.")
@LIMIT
@speaks()
def list_(session: Session, only_open: bool, agent: str | None, limit: int) -> None:
    """List breakers, those that are not closed first."""
    state = "open" if only_open else "all"
    page = session.call(lambda plane: plane.breakers(state=state, agent=agent, limit=limit))
    if session.json:
        print_json(page)
        return
    if not page.rows:
        say("No breaker is open." if only_open else "No `breaker` document covers an agent.")
        return
    print_table(
        ("STATE", "BREAKER", "DOES", "SINCE", "PROBE FROM", "REFUSED", "WHY"),
        [
            (
                row.state,
                row.breaker,
                row.does,
                at(row.opened_at) if row.state != "closed" else "-",
                _probe(row),
                row.refused if row.state != "closed" else "-",
                f"{row.detector}: {row.reason}" if row.state != "closed" else _learning(row),
            )
            for row in page.rows
        ],
    )
    if page.total is not None and page.total > len(page.rows):
        say(f"{page.total - len(page.rows)} more: --limit {page.total}", err=True)


@breakers.command()
@click.argument("breaker")
@speaks()
def show(session: Session, breaker: str) -> None:
    """Show BREAKER (`DOCUMENT/AGENT`): what tripped it, and what is usual."""
    name = _name(breaker)
    found = session.call(lambda plane: plane.breaker(name))
    if session.json:
        print_json(found)
    else:
        _show(found)


@breakers.command()
@click.argument("breaker")
@REASON
@speaks()
def reset(session: Session, breaker: str, reason: str) -> None:
    """Close BREAKER (`DOCUMENT/AGENT`) by hand."""
    from watchkeeper.wire.breakers import BreakerReset

    name, body = _name(breaker), BreakerReset(reason=reason)
    found = session.call(lambda plane: plane.reset_breaker(name, body))
    if session.json:
        print_json(found)
    else:
        say(f"Closed: breaker {found.breaker}.")


def _name(breaker: str) -> str:
    """Return what names a breaker; end where it names none."""
    if breaker.count("/") != 1 or "" in breaker.split("/"):
        fail(
            NotFound(
                f"{breaker!r} names no breaker",
                remedy="write DOCUMENT/AGENT, as `watchkeeper breakers list` does",
            )
        )
    return breaker


def _show(row: BreakerRow) -> None:
    say(f"{row.breaker}: {row.state}")
    if row.state != "closed":
        say_line(f"{row.detector}: {row.reason}")
    per_minute = row.calls_per_minute
    print_facts(
        [
            ("agent", f"{row.agent}, version {row.version}, team {row.team}"),
            ("watches", ", ".join(row.detectors)),
            ("does", row.does),
            ("tripped", at(row.opened_at) if row.opened_at else "never"),
            ("run", row.run),
            ("probe from", at(row.probes_at) if row.probes_at else None),
            ("probing", row.probe),
            ("refused", row.refused if row.state != "closed" else None),
            ("trips", f"{row.trips} within a day" if row.opened_at else None),
            ("baseline", _learning(row) or None),
            ("calls", f"usually {per_minute:,.3g} a minute" if per_minute else None),
        ]
    )
    if row.state != "closed":
        say(f'  close it:  watchkeeper breakers reset {row.breaker} --reason "…"')


def _probe(row: BreakerRow) -> str:
    if row.state == "half-open":
        return "under way"
    if row.state == "open":
        return at(row.probes_at) if row.probes_at else "a person resets it"
    return "-"


def _learning(row: BreakerRow) -> str:
    if not row.baseline_calls:
        return ""
    if row.median_cost_micros is None:
        return f"learning what a call costs: {row.calls} of {row.baseline_calls}"
    return f"a call usually costs {dollars(row.median_cost_micros)}"
