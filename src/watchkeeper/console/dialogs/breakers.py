"""Closing a circuit breaker by hand."""

from __future__ import annotations

from collections.abc import Sequence

from watchkeeper.console.blocks import Block, Line, Prose
from watchkeeper.console.desk import Desk, Field, Question
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import span
from watchkeeper.console.views.breakers import breaker_blocks, breaker_words
from watchkeeper.wire.breakers import BreakerReset, BreakerRow


def reset_question(rows: Sequence[BreakerRow], moment: Moment) -> Question:
    """Ask which open breaker to close, and why."""

    def number(text: str) -> str | None:
        good = text.isascii() and text.isdigit() and 1 <= int(text) <= len(rows)
        return None if good else f"write a number from 1 to {len(rows)}"

    body: list[Block] = (
        breaker_blocks(rows[0], moment)
        if len(rows) == 1
        else [Line([span(f"{n}  {breaker_words(row, moment)}")]) for n, row in enumerate(rows, 1)]
    )
    return Question(
        title="Close the breaker?" if len(rows) == 1 else "Close which breaker?",
        body=[*body, Prose("Its calls pass again at once; it may trip again.", "quiet")],
        confirm="Close it",
        reason="required",
        fields=(Field("number", "which", number, "1"),) if len(rows) > 1 else (),
    )


async def close_breaker(desk: Desk, rows: Sequence[BreakerRow]) -> bool:
    """Ask which of some breakers and why, and close it; tell whether that was done."""
    if not rows:
        return False
    reply = await desk.ask(reset_question(rows, desk.moment()))
    if not reply.confirmed:
        return False
    chosen = rows[int(reply.values.get("number", "1")) - 1]
    await desk.client.reset_breaker(chosen.breaker, BreakerReset(reason=reply.reason or ""))
    desk.say(f"the breaker of {chosen.agent} is closed", "good")
    desk.mark_dirty()
    return True
