"""`secrets`: what the plane holds for upstreams and providers, sealed at rest."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import fail, print_json, print_table, say
from watchkeeper.cli.session import Session, speaks
from watchkeeper.cli.words import at
from watchkeeper.core.errors import Invalid

if TYPE_CHECKING:
    from watchkeeper.client.api import PlaneClient

_LONGEST = 16_386


@click.group("secrets", cls=NamedGroup)
def sealed() -> None:
    """Put, list and remove sealed secrets; change the key that seals them."""


@sealed.command("put", short_help="Seal a value from standard input or typed.")
@click.argument("name")
@speaks()
def put(session: Session, name: str) -> None:
    """Seal a value under NAME, read from standard input or, at a terminal, asked for unseen.

    Documents then refer to it as `sealed:NAME`. A second put replaces it without a restart.
    """
    from watchkeeper.wire.secrets import PutSecret

    if sys.stdin.isatty():
        value = click.prompt(f"Value of {name}", hide_input=True, err=True)
    else:
        value = sys.stdin.read(_LONGEST + 1)
    value = value.strip("\r\n")
    if not value or len(value) > _LONGEST:
        fail(Invalid("a secret has 1 to 16384 characters", where="standard input"))
    body = PutSecret.model_construct(value=value)
    found = session.call(lambda plane: plane.put_secret(name, body))
    if session.json:
        print_json(found)
        return
    say(f"sealed {found.name} version {found.version}; refer to it as sealed:{found.name}")


@sealed.command("list")
@speaks()
def list_(session: Session) -> None:
    """List sealed secrets with who uses them; never their values."""
    page = session.call(lambda plane: plane.secrets())
    if session.json:
        print_json(page)
        return
    if not page.rows:
        say("no secret is sealed; `watchkeeper secrets put NAME`")
        return
    print_table(
        ("NAME", "VERSION", "PUT", "LAST USED", "USED BY"),
        [
            (
                row.name,
                row.version,
                at(row.rotated_at),
                at(row.used_at) if row.used_at else "never",
                ", ".join(row.used_by) or "nobody",
            )
            for row in page.rows
        ],
    )
    for row in page.rows:
        if row.trouble:
            say(f"{row.name}: {row.trouble}", err=True)


@sealed.command("remove", short_help="Forget a value; say who is refused now.")
@click.argument("name")
@speaks(json=False)
def remove(session: Session, name: str) -> None:
    """Forget the value of NAME: whoever refers to it is refused from then on."""

    async def work(plane: PlaneClient) -> tuple[str, ...]:
        users = [row.used_by for row in (await plane.secrets()).rows if row.name == name]
        await plane.remove_secret(name)
        return tuple(users[0]) if users else ()

    users = session.call(work)
    say(f"removed {name}")
    if users:
        say(f"! refused until it is put again: {', '.join(users)}", err=True)


@sealed.command("rotate-key", short_help="Seal every secret with a new key.")
@speaks()
def rotate_key(session: Session) -> None:
    """Seal every secret with a new key; the old one is kept until all are."""
    found = session.call(lambda plane: plane.rotate_sealing_key())
    if session.json:
        print_json(found)
        return
    plural = "" if found.secrets == 1 else "s"
    say(f"{found.secrets} secret{plural} sealed with key {found.key}")
