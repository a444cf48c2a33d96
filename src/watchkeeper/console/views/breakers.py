"""Breakers: what tripped, what it does, and until when."""

from __future__ import annotations

from watchkeeper.console.blocks import Block, Fact, Line
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import span
from watchkeeper.console.words import BREAKER_STATES, moment_text, plural, say, until_text
from watchkeeper.wire.breakers import BreakerRow


def breaker_words(row: BreakerRow, moment: Moment) -> str:
    """Say in one line what a breaker does and until when."""
    said = say(BREAKER_STATES, row.state)
    does = "pauses" if row.does == "pause" else "throttles"
    after = ""
    if row.state == "open":
        after = f"; probe {until_text(row.probes_at, moment.now)}" if row.probes_at else ""
        after = after or "; a person resets it"
    return f"{said.text}: {row.detector or row.breaker} {does} {row.agent}@{row.version}{after}"


def breaker_blocks(row: BreakerRow, moment: Moment) -> list[Block]:
    """Write a breaker for whoever resets it."""
    said = say(BREAKER_STATES, row.state)
    held: list[Block] = [
        Line([span(f"{row.agent}@{row.version}", "strong"), span(f"  {said.text}", said.token)]),
        Fact("because", row.reason or "nothing tripped it"),
        Fact("refused", plural(row.refused, "call"), "warning" if row.refused else "quiet"),
        Fact("trips", f"{plural(row.trips, 'trip')} in the last day"),
    ]
    if row.opened_at is not None:
        held.append(Fact("since", moment_text(row.opened_at, moment.now)))
    if row.probes_at is not None:
        held.append(Fact("probe", moment_text(row.probes_at, moment.now)))
    if row.run:
        held.append(Fact("run", row.run, "quiet"))
    held.append(Fact("id", row.breaker, "quiet"))
    return held
