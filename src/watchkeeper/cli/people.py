"""Issue a `token` to a person, see `people` and their `tokens`."""

from __future__ import annotations

import click

from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import print_json, print_table, say
from watchkeeper.cli.session import Session, speaks
from watchkeeper.cli.signatures import allowed_signers
from watchkeeper.cli.words import at


@click.command()
@click.argument("person")
@click.option(
    "--may",
    "permission",
    metavar="ROLE",
    default="viewer",
    show_default=True,
    help="viewer, approver, responder, auditor, admin, or a role of your own.",
)
@click.option(
    "--ttl",
    type=click.IntRange(60, 30 * 86_400),
    default=43_200,
    show_default=True,
    help="Seconds.",
)
@speaks()
def token(session: Session, person: str, permission: str, ttl: int) -> None:
    """Issue a bearer token to a person for a remote console; it is shown once."""
    from watchkeeper.wire.people import IssueToken

    body = IssueToken.model_construct(person=person, permission=permission, ttl_seconds=ttl)
    found = session.call(lambda plane: plane.issue_token(body))
    if session.json:
        print_json(found)
        return
    say(f"# {found.person} is {permission} until {at(found.expires_at)}; shown once")
    say(f"export WATCHKEEPER_TOKEN={found.token}")


@click.group(cls=NamedGroup)
def tokens() -> None:
    """See and end people's tokens."""


@tokens.command("list")
@speaks()
def list_tokens(session: Session) -> None:
    """List the tokens that are neither expired nor revoked, newest first."""
    page = session.call(lambda plane: plane.tokens())
    if session.json:
        print_json(page)
        return
    print_table(
        ("TOKEN", "PERSON", "ROLE", "BY", "ISSUED", "EXPIRES"),
        [
            (
                row.id or "(older)",
                row.person,
                "own" if row.role == "*" else row.role,
                row.via,
                at(row.created_at),
                at(row.expires_at),
            )
            for row in page.rows
        ],
    )


@tokens.command()
@click.argument("token_id", metavar="TOKEN")
@speaks(json=False)
def revoke(session: Session, token_id: str) -> None:
    """End a token at once, by its id in the list."""
    from watchkeeper.wire.people import RevokeToken

    body = RevokeToken(id=token_id)
    session.call(lambda plane: plane.revoke_token(body))
    say(f"Revoked: {token_id}.")


@click.group(cls=NamedGroup)
def people() -> None:
    """See who may do what here, and whose signatures count."""


people.add_command(allowed_signers)


@people.command("list", short_help="List people with roles and permissions.")
@speaks()
def list_people(session: Session) -> None:
    """List the people who have a document, with roles, permissions and logins."""
    page = session.call(lambda plane: plane.people())
    if session.json:
        print_json(page)
        return
    print_table(
        ("PERSON", "ROLES", "KNOWN BY", "TOKENS", "MAY"),
        [
            (
                row.name,
                ", ".join(row.roles) or "none",
                ", ".join([*(f"{row.ssh_keys} ssh" for _ in range(row.ssh_keys > 0)), *row.oidc])
                or "tokens",
                row.tokens,
                ", ".join(row.permissions) or "nothing",
            )
            for row in page.rows
        ],
    )
