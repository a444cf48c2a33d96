"""Questions before a decision; the more harm it can do, the more hands it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from watchkeeper.console.blocks import Blank, Block, Diff, Fact, Line, Prose, Title
from watchkeeper.console.desk import Question
from watchkeeper.console.painting import risk_span, span
from watchkeeper.console.views.request_detail import (
    SOURCES,
    argument_blocks,
    change_blocks,
    takes_words,
    warning_blocks,
)
from watchkeeper.console.views.requests import deed_blocks, typed_text
from watchkeeper.console.words import actor_text, person_text, plural
from watchkeeper.wire.decisions import Risk
from watchkeeper.wire.requests import RequestDetail, RequestRow

RISKS: tuple[Risk, ...] = ("critical", "high", "medium", "low")


def needs_question(detail: RequestDetail) -> bool:
    """Whether an approval is asked about first; a plain one of low risk is sent after a while."""
    rules = detail.deciding
    return detail.risk != "low" or rules.signed or rules.reason or rules.read_to_end


def needs_typing(risk: str) -> bool:
    """Whether the object must be typed; a risk unknown to this console counts as the highest."""
    return risk not in ("low", "medium")


def summary_blocks(detail: RequestDetail) -> list[Block]:
    """Write what a decision is about, short enough for a dialog."""
    words, token = risk_span(detail.risk)
    behalf = actor_text(detail.on_behalf_of)
    asker = f"{detail.agent}, version {detail.version}"
    if behalf:
        asker += f", on behalf of {behalf}"
    blocks: list[Block] = [
        *deed_blocks(detail),
        *warning_blocks(detail),
        Line([span(f"{words.strip()} risk", token), span(f"  asked by {asker}", "quiet")]),
    ]
    if detail.changes:
        blocks += [Blank(), *change_blocks(detail)]
    source = SOURCES.get(detail.blast_source, "declared")
    return [
        *blocks,
        Blank(),
        Fact("reach", f"{detail.blast_radius or 'not declared'} ({source})"),
        Fact("way back", detail.way_back or "none declared"),
        Fact("rule", detail.rule_text or detail.rule),
        *([Fact("takes", takes)] if (takes := takes_words(detail)) else []),
        *([Fact("you vote for", person_text(detail.acting_for))] if detail.acting_for else []),
    ]


def approve_question(detail: RequestDetail) -> Question:
    """Ask before approving what is of medium risk or more, or takes more than a key.

    What is of high risk is approved only after its last line was on the screen.
    """
    typed = typed_text(detail) if needs_typing(detail.risk) else None
    to_end = typed is not None or detail.deciding.read_to_end
    body = summary_blocks(detail)
    if to_end:
        body += argument_blocks(detail)
    return Question(
        title="Approve this?",
        body=body,
        confirm="Approve and sign" if detail.deciding.signed else "Approve",
        danger=typed is not None,
        reason="required" if detail.deciding.reason else "optional",
        type_name=typed,
        read_to_end=to_end,
    )


def changes_question(detail: RequestDetail) -> Question:
    """Ask what would be approved instead; this request ends, and the agent is told."""
    return Question(
        title="Ask for changes?",
        body=[
            *summary_blocks(detail),
            Blank(),
            Prose("This is refused, and the agent reads your words: say what you would approve."),
        ],
        confirm="Ask for changes",
        reason="required",
    )


def reject_question(detail: RequestDetail) -> Question:
    """Ask why before rejecting."""
    return Question(
        title="Reject this?",
        body=summary_blocks(detail),
        confirm="Reject",
        reason="required",
    )


def why_not_together(rows: Sequence[RequestRow], verdict: str) -> str | None:
    """Return why these may not be decided in one go, or nothing if they may."""
    closed = [row for row in rows if row.state != "pending"]
    if closed:
        return f"{len(closed)} of the {len(rows)} marked are decided already"
    others = [row for row in rows if not row.mine]
    if others:
        return f"{len(others)} of the {len(rows)} marked are not yours to decide"
    heavy = [row for row in rows if row.risk != "low"]
    if verdict == "approve" and heavy:
        return (
            f"only low risk is approved together: {len(heavy)} of the {len(rows)} marked are more"
        )
    shapes = {row.alike for row in rows}
    if verdict == "approve" and len(shapes) > 1:
        return (
            f"only what asks the same is approved together, and this is {len(shapes)} kinds: "
            "= marks those like the one at the cursor"
        )
    signed = [row for row in rows if row.signed]
    if signed:
        return f"{len(signed)} of the {len(rows)} marked take a signature each: decide them singly"
    return None


def together_question(rows: Sequence[RequestRow], verdict: str, hidden: int) -> Question:
    """Ask before deciding several requests at once."""
    counts = Counter(row.risk for row in rows)
    by_risk = ", ".join(f"{counts[risk]} {risk}" for risk in RISKS if counts[risk])
    agents = Counter(row.agent for row in rows)
    body: list[Block] = [
        Fact("requests", plural(len(rows), "request"), "strong"),
        Fact("risk", by_risk),
        Fact("agents", ", ".join(f"{name} ({count})" for name, count in agents.most_common(5))),
    ]
    if hidden:
        body.append(
            Prose(f"! {hidden} of them are hidden by the filter, and are decided too", "warning")
        )
    body.append(Title("What will happen"))
    body += [Line([span(row.asks)]) for row in rows[:8]]
    if len(rows) > 8:
        body.append(Prose(f"… and {len(rows) - 8} more", "quiet"))
    approve = verdict == "approve"
    word = "Approve" if approve else "Reject"
    heavy = any(needs_typing(row.risk) for row in rows)
    return Question(
        title=f"{word} {plural(len(rows), 'request')}?",
        body=body,
        confirm=f"{word} {len(rows)}",
        danger=heavy or hidden > 0,
        reason="optional" if approve else "required",
        type_name=str(len(rows)) if approve else None,
    )


def changed_blocks(before: RequestDetail, now: RequestDetail) -> list[Block]:
    """Write what changed between the request a person read and the one that stands."""
    pairs: list[tuple[object, object, object, object]] = []
    for name, label in (
        ("asks", "asks"),
        ("canonical", "arguments"),
        ("blast_radius", "reach"),
        ("rollback", "way back"),
        ("rule", "rule"),
        ("risk", "risk"),
        ("state", "state"),
    ):
        old, new = getattr(before, name), getattr(now, name)
        if old != new:
            pairs.append((label, str(old), str(new), ""))
    blocks: list[Block] = [
        Prose("This request changed after you read it. Nothing was sent.", "warning")
    ]
    if pairs:
        blocks += [Title("What changed"), Diff(pairs)]
    if now.decided_by:
        blocks.append(Fact("decided by", person_text(now.decided_by)))
    return [*blocks, Blank(), Prose("Read it again, then decide.")]
