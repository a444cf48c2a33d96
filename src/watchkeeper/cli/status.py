"""`status` and `watch`: where am I, and what needs a person now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from watchkeeper.cli.output import print_facts, print_json, print_table, say
from watchkeeper.cli.session import LIMIT, Session, speaks
from watchkeeper.cli.words import at, left
from watchkeeper.core.money import dollars
from watchkeeper.core.words import count

if TYPE_CHECKING:
    from watchkeeper.wire.plane import Status


@click.command()
@speaks()
def status(session: Session) -> None:
    """Show which plane this is, who I am, and its figures."""
    found = session.call(lambda plane: plane.status())
    if session.json:
        print_json(found)
        return
    me = found.me
    print_facts(
        [
            ("plane", f"{found.plane} in {found.environment}, version {found.version}"),
            ("address", session.address().text),
            ("agents use", _for_agents(session)),
            ("clock", at(found.now) + (" (rehearsal)" if found.rehearsal else "")),
            ("I am", f"{me.person} ({me.permission}, by {me.via})"),
            ("my roles", ", ".join(me.roles) or "none"),
            ("on call", _watch(found)),
            ("agents", f"{found.agents}, {count(found.open_runs, 'open run')}"),
            ("requests", f"{found.pending} pending, {found.waiting} for me, {found.late} late"),
            ("locks", f"{found.locks} in force"),
            ("spend", f"{dollars(found.spend_hour_micros)} in the last hour"),
            ("calls", f"{found.calls_hour:,} in the last hour"),
            ("ledger", f"{found.sequence:,} entries"),
            ("store", found.store),
            ("down", ", ".join(found.upstreams_down) or None),
        ]
    )


def _for_agents(session: Session) -> str | None:
    """Return where agents reach the plane of this machine."""
    from watchkeeper.client.local import find_plane

    plane = None if session.connect else find_plane(session.state)
    return plane.http if plane else None


def _watch(found: Status) -> str | None:
    """Return in which schedules the caller is on call, and until when."""
    if not found.on_call:
        return None
    until = "" if found.on_call_until is None else f" until {at(found.on_call_until)}"
    return ", ".join(found.on_call) + until


@click.command()
@LIMIT
@speaks()
def watch(session: Session, limit: int) -> None:
    """List what needs a person now, most pressing first."""
    page = session.call(lambda plane: plane.watch(limit=limit))
    if session.json:
        print_json(page)
        return
    if not page.rows:
        say("Nothing needs you now.")
        return
    now = session.call(lambda plane: plane.status()).now
    print_table(
        ("LEFT", "RISK", "WHAT", "DO", "ID"),
        [
            (
                left(need.due_at, now) if need.due_at else "-",
                need.risk,
                need.text,
                need.todo,
                need.subject,
            )
            for need in page.rows
        ],
    )
