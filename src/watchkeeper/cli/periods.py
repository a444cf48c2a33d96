"""`--since` and `--until`: the period that a command looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from watchkeeper.cli.words import read_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from watchkeeper.client.api import PlaneClient


def period_options(
    *, since: str | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command its period; `since`: from when unless told."""

    def given(command: Callable[..., Any]) -> Callable[..., Any]:
        to = click.option(
            "--until", metavar="TIME", help="Up to then; now unless told.",
        )  # fmt: skip
        back = click.option(
            "--since", metavar="TIME", default=since, show_default=since is not None,
            help="From a date and time (UTC), or e.g. 7d ago.",
        )  # fmt: skip
        return back(to(command))

    return given


async def between(plane: PlaneClient, since: str | None, until: str | None) -> dict[str, int]:
    """Read a period by the plane's clock."""
    if since is None and until is None:
        return {}
    now = (await plane.status()).now
    told = {"since": since, "until": until}
    return {name: read_time(text, now) for name, text in told.items() if text is not None}
