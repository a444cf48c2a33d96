"""Amounts and times as commands print them."""

from __future__ import annotations

import click

from watchkeeper.core.clock import utc_text
from watchkeeper.core.money import dollars

_SECOND = 1_000_000
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def span(microseconds: int) -> str:
    """Return a duration in its two largest units: `2 m 05 s`, `3 h 10 m`, `4 d 2 h`."""
    seconds = abs(microseconds) // _SECOND
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} m {seconds % 60:02d} s"
    if seconds < 86_400:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02d} m"
    return f"{seconds // 86_400} d {seconds % 86_400 // 3600} h"


def read_span(text: str) -> int:
    """Return `90s`, `30m`, `12h`, `7d` or `2w` in seconds."""
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdigit() and len(number) < 7 and unit in _SECONDS):
        raise click.BadParameter(f"{text!r} is no time; write 90s, 30m, 12h, 7d or 2w")
    return int(number) * _SECONDS[unit]


def left(due_at: int, now: int) -> str:
    """Return the time until something is due, or how late it is."""
    return span(due_at - now) if due_at >= now else f"late {span(due_at - now)}"


def at(moment: int | None) -> str:
    """Return a time in UTC, or a dash."""
    return "-" if moment is None else utc_text(moment)


def amount(measure: str, value: int) -> str:
    """Return an amount with its unit: dollars for spend, a count otherwise."""
    return dollars(value) if measure == "spend" else f"{value:,}"


def count(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def proven(proof: str | None) -> str:
    """Say whether it was proven on whose behalf a run acts, and by whom."""
    return "only claimed" if proof is None else f"proven by {proof}"
