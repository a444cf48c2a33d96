"""Open the console on a plane, and leave the terminal as it was found."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from watchkeeper.client.address import Address
from watchkeeper.client.api import PlaneClient
from watchkeeper.console.app import Console
from watchkeeper.console.configuration import Configuration, read_configuration
from watchkeeper.console.painting import Token
from watchkeeper.console.panes import all_panes, console_actions
from watchkeeper.console.place import read_place
from watchkeeper.console.terminal import refuse_unfit
from watchkeeper.console.theme import Theme, load_theme
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.core.places import config_file, state_directory

USAGE = 2
THEME_VARIABLE = "WATCHKEEPER_THEME"
SIZE_VARIABLES = ("COLUMNS", "LINES")
"""They would stand in for the terminal's own size, and never follow it."""


def run(
    address: Address,
    *,
    state: Path | None = None,
    theme: str | None = None,
    mouse: bool | None = None,
    ascii: bool | None = None,
    read_only: bool | None = None,
) -> int:
    """Show the console until it is left; return the code to exit with.

    What is given comes first, then the environment, then the configuration file. A terminal
    that cannot place text, or a mistake in the configuration, ends it with 2 and a message.
    """
    try:
        refuse_unfit()
        for variable in SIZE_VARIABLES:
            os.environ.pop(variable, None)
        configuration = read_configuration().with_flags(mouse, ascii, read_only)
        colours, complaint = choose_theme(configuration, theme)
        place = state_directory(state)
        opening: tuple[str, Token] | None = (complaint, "warning") if complaint else None
        console = Console(
            PlaneClient(address),
            all_panes,
            theme=colours,
            configuration=configuration,
            actions=console_actions,
            state=place,
            place=read_place(place),
            opening=opening,
        )
    except WatchkeeperError as error:
        print(f"watchkeeper: {error}", file=sys.stderr)  # noqa: T201
        return USAGE
    console.run(mouse=configuration.mouse)
    return console.return_code or 0


def choose_theme(
    configuration: Configuration, given: str | None = None
) -> tuple[Theme | None, str | None]:
    """Return the theme to start with, and what to say of it; None when colours are not wanted."""
    if os.environ.get("NO_COLOR"):
        return None, None
    name = given or os.environ.get(THEME_VARIABLE) or configuration.theme
    if name == "plain":
        return None, None
    return load_theme(name, (configuration.path or config_file()).parent / "themes")
