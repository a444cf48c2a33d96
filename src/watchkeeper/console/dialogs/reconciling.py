"""Saying how an action ended of which nobody knew."""

from __future__ import annotations

from typing import Literal, cast

from watchkeeper.console.blocks import Blank, Block, Fact, Line, Prose
from watchkeeper.console.desk import Desk, Field, Question
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import span
from watchkeeper.console.words import moment_text, money_text
from watchkeeper.wire.health import Reconcile, UnsettledRow

ENDINGS = {"s": "succeeded", "f": "failed"}


def ending_of(text: str) -> str | None:
    """Read `s`, `f` or the whole word; None for another text."""
    word = text.strip().lower()
    return ENDINGS.get(word, word if word in ENDINGS.values() else None)


def reconcile_question(row: UnsettledRow, moment: Moment) -> Question:
    """Ask how it ended, and how the person knows."""

    def check(text: str) -> str | None:
        return None if ending_of(text) else "write succeeded or failed"

    body: list[Block] = [
        Line([span(row.name, "strong"), span(f"  of {row.agent}")]),
        Prose(f"Nobody knows how it ended: {row.why}", "critical"),
        Fact("permitted", moment_text(row.at, moment.now)),
        Fact("about", row.object or "–"),
    ]
    if row.value_micros:
        body.append(Fact("moves", money_text(row.value_micros), "strong"))
    body += [
        Fact("run", row.run, "quiet"),
        Blank(),
        Prose(
            "Look at the target first. What you say counts from then on, for budgets too, and "
            "stands in the ledger under your name.",
            "quiet",
        ),
    ]
    return Question(
        title="How did it end?",
        body=body,
        confirm="Settle",
        reason="required",
        reason_label="How you know",
        fields=(Field("ending", "succeeded or failed", check),),
    )


async def reconcile(desk: Desk, decision: str) -> None:
    """Ask how an action ended, and settle it."""
    row = await desk.client.unsettled_outcome(decision)
    reply = await desk.ask(reconcile_question(row, desk.moment()))
    if not reply.confirmed:
        return
    status = cast("Literal['succeeded', 'failed']", ending_of(reply.values["ending"]))
    await desk.client.reconcile(decision, Reconcile(status=status, reason=reply.reason or ""))
    desk.say(f"{row.name} of {row.agent}: {status}, as you found", "good")
    desk.mark_dirty()
