"""`config`: where the configuration is, and whether it is right."""

from __future__ import annotations

import importlib

import click

from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import fail, say
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.core.places import config_file, state_directory


@click.group(cls=NamedGroup)
def config() -> None:
    """Show where the configuration is, and check it."""


@config.command()
def path() -> None:
    """Print the configuration file and the state directory."""
    given = click.get_current_context().find_root().params.get("state")
    say(f"configuration  {config_file()}")
    say(f"state          {state_directory(given)}")


@config.command(short_help="Check the configuration file.")
def check() -> None:
    """Check the configuration file: the console's settings and the plane's."""
    try:
        importlib.import_module("watchkeeper.console.configuration").read_configuration()
        importlib.import_module("watchkeeper.plane.settings").read_settings({})
    except WatchkeeperError as error:
        fail(error)
    place = config_file()
    say(f"{place}: {'right' if place.exists() else 'not there; the defaults hold'}")
