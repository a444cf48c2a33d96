"""Amounts, times and what is asked, as commands print them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.core.durations import duration_text, read_duration
from watchkeeper.core.errors import Invalid
from watchkeeper.core.money import dollars

if TYPE_CHECKING:
    from watchkeeper.wire.requests import RequestDetail


def read_span(text: str) -> int:
    """Return `90s`, `30m`, `12h`, `7d` or `2w` in seconds."""
    try:
        return read_duration(text)
    except Invalid as error:
        raise _bad(text, f"{error.message}; {error.remedy}") from None


def read_time(text: str, now: int) -> int:
    """Read `7d` (ago), `2026-11-17` or `2026-11-17T12:00` in UTC, in microseconds."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        try:
            return max(0, now - read_duration(text) * MICROSECONDS)
        except Invalid as error:
            raise _bad(
                text, f"{error.message}; write 12h or 7d (ago), 2026-11-17 or 2026-11-17T12:00Z"
            ) from None
    return int(found.replace(tzinfo=found.tzinfo or UTC).timestamp()) * MICROSECONDS


def _bad(text: str, why: str) -> click.BadParameter:
    """Return the error, which names the option that the text was given for."""
    context = click.get_current_context(silent=True)
    given = context.command.params if context else ()
    option = next(
        (one for one in given if context and context.params.get(one.name or "") == text), None
    )
    return click.BadParameter(why, context, option)


def left(due_at: int, now: int) -> str:
    """Return the time until something is due, or how late it is."""
    return f"{'' if due_at >= now else 'late '}{duration_text(due_at - now)}"


def at(moment: int | None) -> str:
    """Return a time in UTC, or a dash."""
    return "-" if moment is None else utc_text(moment)


def amount(measure: str, value: int) -> str:
    """Return an amount of a measure: dollars, seconds, or a count."""
    if measure in ("spend", "value"):
        return dollars(value)
    return f"{value / 1_000_000:,.0f} s" if measure == "wall_time" else f"{value:,}"


def proven(proof: str | None) -> str:
    """Say whether it was proven on whose behalf a run acts, and by whom."""
    return "only claimed" if proof is None else f"proven by {proof}"


def what_is_asked(seen: RequestDetail) -> str:
    """Say who asks whom for what, in one line."""
    whose = " and ".join(f"{one.count} of {one.role}" for one in seen.groups)
    whose = seen.role if seen.quorum == 1 or not whose else whose
    if seen.kind == "standing":
        return f"Proposed to {whose}, as a standing approval: {seen.asks}"
    return f"{seen.agent} asks {whose}: {seen.asks}"
