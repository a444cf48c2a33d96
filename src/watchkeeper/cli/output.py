"""What commands print: aligned text for people, JSON for programs, nothing that steers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NoReturn

import click

from watchkeeper.cli.exits import code_of
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.core.text import cell_width, make_safe

if TYPE_CHECKING:
    from pydantic import BaseModel

_GAP = "  "


def say(text: object = "", *, err: bool = False) -> None:
    """Print one or more lines of text, made safe."""
    click.echo(make_safe(text, keep_newlines=True), err=err)


def say_line(text: object) -> None:
    """Print one line whatever is in it: nobody writes a line that looks like another's."""
    click.echo(make_safe(text))


def print_json(value: BaseModel, *, indent: int | None = 2) -> None:
    """Print a wire model as it crossed the API, in plain ASCII.

    JSON itself lets C1 controls, text direction and DEL stand as they are, and a terminal
    obeys them; escaped, a program reads the same text.
    """
    text = value.model_dump_json(indent=indent, ensure_ascii=True)
    click.echo(text.replace("\x7f", "\\u007f"))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print aligned columns; the last one is never padded."""
    cells = [[str(make_safe(cell)) for cell in row] for row in rows]
    widths = [
        max([cell_width(heading), *(cell_width(row[index]) for row in cells)])
        for index, heading in enumerate(headings)
    ]
    for row in [list(headings), *cells]:
        padded = [
            cell + " " * (width - cell_width(cell)) for cell, width in zip(row, widths, strict=True)
        ]
        click.echo(_GAP.join(padded).rstrip())
    if not cells:
        say("none", err=True)


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print labelled facts, one a line; those that are None are left out."""
    known = [(label, value) for label, value in facts if value is not None]
    width = max((len(label) for label, _ in known), default=0)
    for label, value in known:
        lines = str(make_safe(value, keep_newlines=True)).split("\n")
        click.echo(f"{label:<{width}}  {lines[0]}")
        for line in lines[1:]:
            click.echo(" " * (width + 2) + line)


def print_diff(diff: str) -> None:
    """Print a diff; the sign says it, colour only helps."""
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for line in diff.split("\n"):
        safe = str(make_safe(line))
        colour = colours.get(line[:1]) if wants_colour() else None
        click.echo("    " + (click.style(safe, fg=colour) if colour else safe))


def wants_colour() -> bool:
    """Whether colour may be used: a terminal, not dumb, and NO_COLOR empty."""
    return (
        sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def fail(error: WatchkeeperError) -> NoReturn:
    """Print what went wrong, where, under which rule and what to do; end with its code."""
    field = (error.where or "").removeprefix("query: ").removeprefix("path: ")
    where = f"{field}: " if field else ""
    say(f"watchkeeper: {where}{error.message}", err=True)
    if error.rule:
        say(f"  rule: {error.rule}", err=True)
    if error.remedy:
        say(f"  try:  {error.remedy}", err=True)
    sys.exit(code_of(error))
