"""`--of`: picks actions by agent, model, team …"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

BY = (
    "agent", "version", "model", "provider", "tool", "team", "project", "person", "object", "run",
)  # fmt: skip
"""What actions are told apart by."""


class _Named(click.ParamType[tuple[str, str]]):
    name = "named"

    def __init__(self, known: tuple[str, ...]) -> None:
        self._known = known

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return what it is by, and the name."""
        by, sign, name = str(value).partition("=")
        if by not in self._known or not sign or not name:
            self.fail(f"{value!r:.80}: write BY=NAME, where BY is one of {', '.join(self._known)}")
        return by, name


def _once(
    ctx: click.Context, param: click.Parameter, value: tuple[tuple[str, str], ...]
) -> dict[str, str]:
    if len(dict(value)) < len(value):
        raise click.BadParameter("each of them once", ctx, param)
    return dict(value)


def of(*more: str) -> Callable[[F], F]:
    """Give a command the option, and its value as `named`; `more` may be asked for too."""
    return click.option(
        "--of",
        "named",
        type=_Named((*BY, *more)),
        multiple=True,
        callback=_once,
        metavar="BY=NAME",
        help="Only of one, e.g. team=support; `-` is none.",
    )
