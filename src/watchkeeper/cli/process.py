"""`console` and `stop`: the plane and the screen as processes."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import click

from watchkeeper.cli.output import fail, say
from watchkeeper.cli.session import Session, speaks
from watchkeeper.core.errors import WatchkeeperError


@click.command()
@click.option("--theme", metavar="NAME", help="Colours; see `watchkeeper help console`.")
@click.option("--read-only", is_flag=True, default=None, help="Leave out all that changes.")
@click.option("--mouse", is_flag=True, default=None, help="Let the terminal report the mouse.")
@click.option("--ascii", is_flag=True, default=None, help="Draw with ASCII only.")
@speaks(json=False)
def console(
    session: Session,
    theme: str | None,
    read_only: bool | None,
    mouse: bool | None,
    ascii: bool | None,
) -> None:
    """Open the console; start this machine's plane first if none runs.

    The plane goes on when the console ends, because agents depend on it.
    """
    from watchkeeper.cli.group import require_terminal

    require_terminal()
    try:
        address = session.address() if session.connect else _start(session)
    except WatchkeeperError as error:
        fail(error)
    screen = importlib.import_module("watchkeeper.console.start")
    state = Path(session.state) if session.state else None
    sys.exit(
        screen.run(address, state=state, theme=theme, mouse=mouse, ascii=ascii, read_only=read_only)
    )


def _start(session: Session) -> object:
    from watchkeeper.client.address import Address
    from watchkeeper.client.local import ensure_plane, find_plane

    if find_plane(session.state) is None:
        say("starting the plane …", err=True)
    return Address(socket=ensure_plane(session.state).socket)


@click.command()
@speaks(json=False)
def stop(session: Session) -> None:
    """Stop this machine's plane in order: calls in flight end, everything is recorded."""
    from watchkeeper.client.local import stop_plane

    try:
        if session.connect:
            session.call(lambda plane: plane.stop())
            say("The plane is stopping.")
        elif stop_plane(session.state):
            say("The plane has stopped.")
        else:
            say("No plane runs here.")
    except WatchkeeperError as error:
        fail(error)
