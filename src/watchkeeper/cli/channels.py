"""`channels`: how people are told that something waits for them."""

from __future__ import annotations

import sys

import click

from watchkeeper.cli.exits import REFUSED
from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import print_json, print_table, say
from watchkeeper.cli.session import Session, speaks
from watchkeeper.cli.words import at


@click.group(cls=NamedGroup)
def channels() -> None:
    """List the ways by which people are told, and try one."""


@channels.command("list")
@speaks()
def list_(session: Session) -> None:
    """List channels with whom they tell; never their URLs."""
    page = session.call(lambda plane: plane.channels())
    if session.json:
        print_json(page)
        return
    if not page.rows:
        say("No channel: nobody is told. See `watchkeeper help notifications`.")
        return
    print_table(
        ("CHANNEL", "KIND", "TELLS", "LEVEL OF", "THIS HOUR", "LAST"),
        [
            (
                row.name,
                row.kind or "?",
                ", ".join(row.people) or "nobody",
                ", ".join(row.escalations) or "-",
                f"{row.told_hour} of {row.most_per_hour}",
                at(row.told_at) if row.told_at else "never",
            )
            for row in page.rows
        ],
    )
    for row in page.rows:
        if row.trouble:
            say(f"! {row.name}: {row.trouble}", err=True)
            if row.remedy:
                say(f"  {row.remedy}", err=True)


@channels.command(short_help="Send a test message by a channel.")
@click.argument("name")
@speaks()
def test(session: Session, name: str) -> None:
    """Send a test message by the channel NAME and say what came of it."""
    found = session.call(lambda plane: plane.test_channel(name))
    if session.json:
        print_json(found)
    elif found.told:
        say(f"{found.channel}: {found.text} ({found.milliseconds} ms)")
    else:
        say(f"{found.channel}: nobody was told: {found.text}", err=True)
    if not found.told:
        sys.exit(REFUSED)
