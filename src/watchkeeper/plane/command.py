"""`watchkeeper serve`: a plane in the foreground, or detached when the console starts it."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from typing import Any

import click

from watchkeeper.core.errors import Unavailable, WatchkeeperError
from watchkeeper.core.text import make_safe
from watchkeeper.plane.settings import Settings, read_settings
from watchkeeper.plane.state import StateDirectory

_EXITS = {"already_running": 4, "port_taken": 4}


@click.command(short_help="Run a plane in the foreground.")
@click.option("--state", metavar="DIR", help="State directory [WATCHKEEPER_STATE].")
@click.option(
    "--port", type=int, metavar="N", help="Port on 127.0.0.1, 0 for any [as last time, else 8750]."
)
@click.option("--database", metavar="URL", help="sqlite:///PATH or postgresql://HOST/NAME.")
@click.option(
    "--environment", metavar="NAME", help="Shown on every screen [as last time, else local]."
)
@click.option("--plane", metavar="NAME", help="Name of this plane [plane-1].")
@click.option(
    "--rehearsal-clock",
    is_flag=False,
    flag_value="running",
    type=click.Choice(["running", "frozen"]),
    help="Let people move the clock forward (for rehearsals and tests).",
)
@click.option("--detached", is_flag=True, default=None, hidden=True)
def serve(**flags: Any) -> None:
    """Run a plane in the foreground.

    It serves people on the Unix socket in the state directory and agents on 127.0.0.1, and
    stops in order on SIGTERM or ctrl-c.
    """
    flags["state"] = flags["state"] or click.get_current_context().find_root().params.get("state")
    try:
        settings = read_settings(flags)
        run(settings)
    except WatchkeeperError as error:
        click.echo(f"watchkeeper: {make_safe(error)}", err=True)
        sys.exit(_EXITS.get(error.code, 1))


def run(settings: Settings) -> None:
    """Run a plane until it is asked to end; raise `WatchkeeperError` if it cannot start."""
    os.umask(0o077)
    _raise_file_limit(2 * settings.max_connections)
    state = StateDirectory(settings.state).prepare()
    if settings.detached:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from watchkeeper.plane.log import start_logging

    try:
        start_logging(state.log, limit=settings.log_bytes, detached=settings.detached)
    except OSError as error:
        raise Unavailable(
            f"cannot write the log: {error.strerror}",
            where=str(state.log),
            remedy="free space or fix its permissions, or give another --state DIR",
        ) from None
    from watchkeeper.plane.lifecycle import serve as serve_plane

    asyncio.run(serve_plane(settings, state))


def _raise_file_limit(wanted: int) -> None:
    """Let the process hold as many connections as it accepts, where the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
