"""`watchkeeper demo`: a plane with a working fleet, with a screen or without."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import fail, say
from watchkeeper.core.errors import Conflict, Unavailable, WatchkeeperError
from watchkeeper.core.places import LAST_PLANE_FILE, state_directory

AGENT_PORT = 8750
_DEMO = ("--environment", "demo")
_DURATION = re.compile(r"^(\d{1,5})(s|m)?$")
STATE = click.option("--state", metavar="DIR", help="State directory [WATCHKEEPER_STATE].")


class Duration(click.ParamType[float]):
    """A time such as 45, 30s or 2m, in seconds."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds."""
        if isinstance(value, int | float):
            return float(value)
        found = _DURATION.match(str(value))
        if found is None or int(found[1]) == 0:
            self.fail(f"{value!r} is no time: write it as 30s or 2m", param, ctx)
        return float(found[1]) * (60 if found[2] == "m" else 1)


@click.group(cls=NamedGroup, invoke_without_command=True, short_help="Watch a demo fleet at work.")
@STATE
@click.option("--headless", is_flag=True, help="No screen: run, end, and report.")
@click.option(
    "--for",
    "seconds",
    type=Duration(),
    default="30s",
    show_default=True,
    help="How long, headless.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the headless report as JSON.")
@click.option("--pace", type=click.FloatRange(0.1, 20), help="How fast the agents work [1].")
@click.pass_context
def demo(
    context: click.Context,
    state: str | None,
    headless: bool,
    seconds: float,
    as_json: bool,
    pace: float | None,
) -> None:
    """Start a plane and a fleet of agents on this machine, and open the console on them.

    Both go on when the console ends; `watchkeeper demo stop` ends them. Headless, a scripted
    approver decides instead of you, and everything ends with the report; without --state it
    then leaves nothing behind.
    """
    context.obj = state or context.find_root().params.get("state")
    if context.invoked_subcommand is not None:
        return
    try:
        if headless:
            sys.exit(_rehearse(context.obj, seconds, pace, as_json))
        sys.exit(_open(context.obj, pace))
    except WatchkeeperError as error:
        fail(error)


@demo.command()
@STATE
@click.pass_context
def stop(context: click.Context, state: str | None) -> None:
    """End the fleet and its plane."""
    from watchkeeper.client.local import stop_plane
    from watchkeeper.demo import fleet

    directory = state_directory(state or context.obj)
    try:
        ended = fleet.stop(directory)
        if ended or fleet.fleet_directory(directory).exists():
            ended = stop_plane(directory) or ended
    except WatchkeeperError as error:
        fail(error)
    if not ended:
        say("No demo runs here.")
        return
    say(f"The demo has ended. What it did stays in {directory}")
    say("For your own agents use another directory: --state DIR, or WATCHKEEPER_STATE")


@demo.command()
@STATE
@click.pass_context
def status(context: click.Context, state: str | None) -> None:
    """List the processes of the fleet."""
    from watchkeeper.demo import fleet

    found = fleet.status(state_directory(state or context.obj))
    if not found.running:
        say(f"No demo fleet runs in {found.directory}.")
        sys.exit(3)
    say(f"fleet {found.pid} in {found.directory}, {found.restarts} restarts")
    for name, pid in found.processes.items():
        say(f"  {pid:>8}  {name}  {found.addresses.get(name, '')}")


def _open(given: str | None, pace: float | None) -> int:
    from watchkeeper.cli.group import require_terminal
    from watchkeeper.client.address import Address
    from watchkeeper.client.local import ensure_plane
    from watchkeeper.demo import fleet

    require_terminal()
    state = state_directory(given)
    try:
        plane = ensure_plane(state, arguments=_first_time(state))
    except Unavailable:
        # Another program may have taken the port; agents that run know no other.
        if fleet.status(state).running:
            raise
        plane = ensure_plane(state, arguments=(*_DEMO, "--port", "0"))
    address = Address(socket=plane.socket)
    asyncio.run(_check_free_for_demo(address))
    fleet.start(state, socket=plane.socket, url=plane.http, pace=pace or 1.0)
    screen = importlib.import_module("watchkeeper.console.start")
    code = int(screen.run(address, state=state) or 0)
    say("The demo goes on. See it again: watchkeeper demo; end it: watchkeeper demo stop", err=True)
    return code


def _rehearse(given: str | None, seconds: float, pace: float | None, as_json: bool) -> int:
    if given is not None:
        return _rehearse_in(state_directory(given), seconds, pace, as_json)
    with tempfile.TemporaryDirectory(prefix="watchkeeper-demo-") as directory:
        return _rehearse_in(Path(directory), seconds, pace, as_json)


def _rehearse_in(state: Path, seconds: float, pace: float | None, as_json: bool) -> int:
    from watchkeeper.client.address import Address
    from watchkeeper.client.local import ensure_plane, find_plane, stop_plane
    from watchkeeper.demo import fleet
    from watchkeeper.demo.report import PACE, run_headless
    from watchkeeper.demo.report_text import write_report

    if fleet.status(state).running:
        raise Conflict(
            "a demo fleet runs here already",
            where=str(state),
            remedy="stop it with `watchkeeper demo stop`, or leave out --state",
        )
    found = find_plane(state)
    plane = found or ensure_plane(state, arguments=(*_DEMO, "--port", "0"))
    try:
        asyncio.run(_check_free_for_demo(Address(socket=plane.socket)))
        report = asyncio.run(
            run_headless(
                state, socket=plane.socket, url=plane.http, seconds=seconds, pace=pace or PACE
            )
        )
    finally:
        if found is None:
            stop_plane(state)
    click.echo(json.dumps(report, indent=2) if as_json else write_report(report))
    return 0 if all(report["checks"].values()) else 1


async def _check_free_for_demo(address: Any) -> None:
    """Raise `Conflict` if the plane governs agents that are not the demo's."""
    from watchkeeper.client.api import PlaneClient
    from watchkeeper.demo.agents.profile import PROFILES

    ours = {profile.name for profile in PROFILES}
    async with PlaneClient(address) as client:
        page = await client.agents(limit=100)
    strangers = [row.name for row in page.rows if row.name not in ours]
    if strangers or page.next:
        raise Conflict(
            f"this plane governs agents already, {strangers[0] if strangers else 'many'} among "
            "them; the demo would put its contracts and budgets beside theirs",
            remedy="give the demo a directory of its own: watchkeeper demo --state DIR",
        )


def _first_time(state: Path) -> tuple[str, ...]:
    """Return what a plane is told when none ran here before; later ones are like the last."""
    if (state / LAST_PLANE_FILE).exists():
        return ()
    return (*_DEMO, "--port", str(_port()))


def _port() -> int:
    """Return the usual port for agents, or 0 for any where another program has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", AGENT_PORT))
        except OSError:
            return 0
    return AGENT_PORT
