"""`enroll` an agent, issue a `token` to a person."""

from __future__ import annotations

from typing import Literal

import click

from watchkeeper.cli.output import print_json, say
from watchkeeper.cli.session import Session, speaks
from watchkeeper.cli.words import at

Permission = Literal["viewer", "approver", "responder", "admin"]


@click.command()
@click.argument("agent")
@click.option(
    "--ttl", type=click.IntRange(30, 86_400), default=900, show_default=True, help="Seconds."
)
@speaks()
def enroll(session: Session, agent: str, ttl: int) -> None:
    """Make a one-time secret for an agent and print what its workload must set."""
    from watchkeeper.wire.agents import Enrol

    body = Enrol.model_construct(agent=agent, ttl_seconds=ttl)
    found = session.call(lambda plane: plane.enrol(body))
    if session.json:
        print_json(found)
        return
    say(f"# {found.agent}: set these for its workload before {at(found.expires_at)};")
    say("# the secret works once. How to connect: `watchkeeper help agents`")
    for name, value in found.settings.items():
        say(f"export {name}={value}")


@click.command()
@click.argument("person")
@click.option(
    "--may",
    "permission",
    type=click.Choice(["viewer", "approver", "responder", "admin"]),
    default="viewer",
    show_default=True,
    help="What the person may do; each includes those before it.",
)
@click.option(
    "--ttl",
    type=click.IntRange(60, 30 * 86_400),
    default=43_200,
    show_default=True,
    help="Seconds.",
)
@speaks()
def token(session: Session, person: str, permission: Permission, ttl: int) -> None:
    """Issue a bearer token to a person for a remote console; it is shown once."""
    from watchkeeper.wire.people import IssueToken

    body = IssueToken.model_construct(person=person, permission=permission, ttl_seconds=ttl)
    found = session.call(lambda plane: plane.issue_token(body))
    if session.json:
        print_json(found)
        return
    say(f"# {found.person} may {permission} until {at(found.expires_at)}; shown once")
    say(f"export WATCHKEEPER_TOKEN={found.token}")
