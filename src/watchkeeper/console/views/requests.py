"""Approval requests as an approver reads them."""

from __future__ import annotations

from collections.abc import Mapping

from watchkeeper.console.blocks import Block, Line, Prose
from watchkeeper.console.moment import Moment, duration_text
from watchkeeper.console.painting import NOTHING, Span, risk_span, span
from watchkeeper.console.words import (
    HOUR,
    REQUEST_STATES,
    SOON_SECONDS,
    brief_text,
    money_text,
    person_text,
    say,
    seconds_between,
)
from watchkeeper.core.text import looks_alike
from watchkeeper.wire.agents import BusinessObject
from watchkeeper.wire.requests import RequestRow

SHORT_CODE_CELLS = 4
NAME_TO_TYPE_CELLS = 24


def is_late(row: RequestRow, now: int) -> bool:
    """Whether a pending request's first level passed without a decision, or its time is up."""
    return row.state == "pending" and (row.level > 1 or row.decide_by <= now)


def cells(row: RequestRow, moment: Moment) -> Mapping[str, Span]:
    """Return the cells of a request, for the waiting and for the decided list."""
    decided = row.state != "pending"
    return {
        "left": left_cell(row, moment),
        "when": moment.age(row.decided_at) if decided else NOTHING,
        "risk": risk_span(row.risk),
        "asks": span(f"{row.agent} → {verb_text(row.tool)}"),
        "object": span(brief_text(object_text(row.object, row.amount_micros)) or "–"),
        "role": span(row.role, "text" if row.mine or decided else "quiet"),
        "by": span(person_text(row.decided_by) or "–", "quiet"),
        "state": state_cell(row),
    }


def left_cell(row: RequestRow, moment: Moment) -> Span:
    """Say the time left; ``!`` marks a request that is late or nearly out of time."""
    if row.state != "pending":
        return span("–", "quiet")
    left = seconds_between(moment.now, row.decide_by)
    if left < 0 or moment.absolute:
        return moment.left(row.decide_by)
    text = duration_text(left)
    if left < SOON_SECONDS:
        return span(f"{text:<5} !", "critical")
    if is_late(row, moment.now):
        return span(f"{text:<5} !", "warning")
    return span(text, "text" if left < HOUR else "quiet")


def verb_text(tool: str) -> str:
    """Say a tool as a verb: its own name without its upstream's, spaces for underscores."""
    return (tool.rpartition(".")[2] or tool).replace("_", " ")


def object_text(thing: BusinessObject | None, amount_micros: int | None = None) -> str:
    """Write a business object with the amount that moves, if any."""
    amount = "" if amount_micros is None else money_text(amount_micros).removesuffix(".00")
    if thing is None:
        return amount
    return f"{thing.kind} {thing.id} {amount}".strip()


def state_cell(row: RequestRow) -> Span:
    """Say who is on it, or the level and how many have agreed, or how it ended."""
    if row.state == "pending":
        if row.acknowledged_by:
            return span(f"{person_text(row.acknowledged_by)} on it", "quiet")
        if row.quorum > 1:
            return span(f"L{row.level} · {row.approvals}/{row.quorum}")
        return span(f"level {row.level}" if row.levels > 1 else "waits")
    if row.break_glass and row.reviewed_by is None:
        return span("! to review", "warning")
    return say(REQUEST_STATES, row.state).span


def why_not_decide(row: RequestRow) -> str | None:
    """Return why the caller may not decide this request now, or nothing if it may."""
    if row.state != "pending":
        by = person_text(row.decided_by)
        word = say(REQUEST_STATES, row.state).word
        return f"it is {word} already, by {by}" if by else f"it is {word} already"
    if not row.mine:
        return row.why_not or f"{row.role} decides it, and you do not hold that role"
    return None


def typed_text(row: RequestRow) -> str:
    """Return what must be typed to approve a high or critical request.

    The business object's id, so that the hand confirms what the eye should have read; the
    first letters of the digest when there is none, or when it is long or easily mistaken.
    """
    name = row.object.id if row.object is not None else ""
    plain = name.isascii() and name.isprintable() and " " not in name
    if plain and 0 < len(name) <= NAME_TO_TYPE_CELLS and not looks_alike(name):
        return name
    return row.digest.rpartition(":")[2][:SHORT_CODE_CELLS]


def deed_blocks(row: RequestRow) -> list[Block]:
    """Write what will happen, in the fewest lines; dialogs repeat it above their question."""
    target = object_text(row.object)
    spans = []
    if row.amount_micros is not None:
        spans += [span(money_text(row.amount_micros), "strong"), span("  ")]
    if target:
        spans += [span("on ", "quiet"), span(target), span("  ")]
    spans.append(span(f"by {row.tool}", "quiet"))
    blocks: list[Block] = [Prose(row.asks, "strong"), Line(spans)]
    named = row.object.id if row.object is not None else ""
    if looks_alike(named) or looks_alike(row.asks):
        blocks.append(
            Prose("! mixes alphabets with letters of the same shape: read it twice", "warning")
        )
    return blocks
