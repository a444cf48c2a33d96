"""`delegations`: who votes for whom while somebody is away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import print_facts, print_json, print_table, say
from watchkeeper.cli.session import LIMIT, Session, speaks
from watchkeeper.cli.words import at, read_span

if TYPE_CHECKING:
    from watchkeeper.client.api import PlaneClient
    from watchkeeper.wire.delegations import DelegationRow


@click.group(cls=NamedGroup)
def delegations() -> None:
    """List, make and end delegations of your votes."""


@delegations.command("list")
@click.option("--all", "everything", is_flag=True, help="Those that are over too.")
@LIMIT
@speaks()
def list_(session: Session, everything: bool, limit: int) -> None:
    """List who votes for whom."""
    state = "all" if everything else "open"
    page = session.call(lambda plane: plane.delegations(state=state, limit=limit))
    if session.json:
        print_json(page)
    elif not page.rows:
        say("Nobody votes for anybody else.")
    else:
        print_table(
            ("FOR", "VOTES", "ROLES", "FROM", "UNTIL", "STATE", "DELEGATION"),
            [
                (
                    row.giver,
                    row.taker,
                    _roles(row),
                    at(row.starts_at),
                    at(row.ended_at or row.ends_at),
                    _state(row),
                    row.delegation,
                )
                for row in page.rows
            ],
        )


@delegations.command(short_help="Let another person cast your votes for a time.")
@click.argument("person")
@click.option("--for", "span", metavar="TIME", required=True, help="How long; 30d at most.")
@click.option("--role", "roles", metavar="ROLE", multiple=True, help="In this role only.")
@click.option("--in", "begins", metavar="TIME", help="How long until it begins.")
@click.option("--note", metavar="TEXT")
@speaks()
def add(
    session: Session,
    person: str,
    span: str,
    roles: tuple[str, ...],
    begins: str | None,
    note: str | None,
) -> None:
    """Let PERSON cast your votes for a time.

    You two count as one from then on: whoever of you votes first, votes for both. What is asked
    or done for one of you neither of you decides.
    """
    from watchkeeper.wire.delegations import LONGEST_SECONDS, Delegate

    if read_span(span) > LONGEST_SECONDS:
        raise click.BadParameter("30d at most", param_hint="--for")
    body = Delegate(to=person, roles=roles, seconds=read_span(span), note=note)
    later = read_span(begins) if begins else 0

    async def make(plane: PlaneClient) -> DelegationRow:
        starts = (await plane.status()).now + later * 1_000_000 if later else None
        return await plane.delegate(body.model_copy(update={"starts_at": starts}))

    _show(session, session.call(make))


@delegations.command()
@click.argument("name", metavar="DELEGATION")
@speaks()
def end(session: Session, name: str) -> None:
    """End a delegation that you gave or have."""
    _show(session, session.call(lambda plane: plane.end_delegation(name)))


def _show(session: Session, row: DelegationRow) -> None:
    if session.json:
        print_json(row)
        return
    print_facts(
        [
            ("for", row.giver),
            ("votes", row.taker),
            ("state", _state(row)),
            ("roles", _roles(row)),
            ("from", at(row.starts_at)),
            ("until", at(row.ended_at or row.ends_at)),
            ("note", row.note),
            ("delegation", row.delegation),
        ],
    )


def _roles(row: DelegationRow) -> str:
    return ", ".join(row.roles) or "all"


def _state(row: DelegationRow) -> str:
    if row.ended_by:
        return f"ended by {row.ended_by}"
    return "in force" if row.in_force else "not in force"
