"""Approval requests as an approver reads them."""

from __future__ import annotations

from collections.abc import Mapping

from watchkeeper.console.blocks import Blank, Block, Code, Diff, Fact, Line, Prose, Quoted, Title
from watchkeeper.console.moment import Moment, duration_text
from watchkeeper.console.painting import NOTHING, Span, Token, risk_span, span
from watchkeeper.console.views.aligned import aligned
from watchkeeper.console.words import (
    HOUR,
    REQUEST_STATES,
    SOON_SECONDS,
    actor_text,
    brief_text,
    moment_text,
    money_text,
    person_text,
    plural,
    proof_text,
    say,
    seconds_between,
    span_text,
    time_text,
)
from watchkeeper.core.text import looks_alike
from watchkeeper.wire.agents import BusinessObject
from watchkeeper.wire.requests import RequestDetail, RequestRow

SOURCES = {"measured": "measured by the plane", "claimed": "claimed by the agent"}
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
    """Say the level and how many have agreed, or how it ended."""
    if row.state == "pending":
        if row.quorum > 1:
            return span(f"L{row.level} · {row.approvals}/{row.quorum}")
        return span(f"level {row.level}" if row.levels > 1 else "waits")
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


def brief_blocks(row: RequestRow, moment: Moment) -> list[Block]:
    """Write what a list line knows, until the rest has arrived."""
    return [*_deed(row, moment), Blank(), Fact("agent", row.agent), Fact("run", row.run, "quiet")]


def detail_blocks(detail: RequestDetail, moment: Moment) -> list[Block]:
    """Write everything an approver needs, in the order in which it matters."""
    return [
        *_deed(detail, moment),
        *_asker(detail),
        *_changes(detail),
        *_policy(detail),
        *_voters(detail, moment),
        *_history(detail),
        *_words(detail),
        *_timeline(detail),
    ]


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


def _deed(row: RequestRow, moment: Moment) -> list[Block]:
    blocks = [*deed_blocks(row), Line(_standing(row, moment))]
    why_not = why_not_decide(row)
    if row.state == "pending" and why_not:
        blocks.append(Prose(f"You may not decide this: {why_not}", "warning"))
    return blocks


def _standing(row: RequestRow, moment: Moment) -> list[Span]:
    words, token = risk_span(row.risk)
    risk = span(f"{words.strip()} risk", token)
    if row.state != "pending":
        said = say(REQUEST_STATES, row.state)
        by = person_text(row.decided_by)
        text = f"{said.text} by {by}" if by else said.text
        when = f", {moment_text(row.decided_at, moment.now)}" if row.decided_at else ""
        return [risk, span("   "), span(text + when, said.token)]
    left = seconds_between(moment.now, row.decide_by)
    urgent: Token = "text"
    if left < SOON_SECONDS:
        urgent = "critical"
    elif is_late(row, moment.now):
        urgent = "warning"
    allow = isinstance(row, RequestDetail) and row.timeout_outcome == "allow"
    end = "it is allowed" if allow else "it is denied"
    words_left = f"{span_text(left)} left, then {end}" if left > 0 else f"time is over: {end}"
    mark = "! " if urgent != "text" else ""
    return [risk, span("   "), span(mark + words_left, urgent)]


def _asker(detail: RequestDetail) -> list[Block]:
    behalf = actor_text(detail.on_behalf_of)
    if behalf:
        behalf += f", {proof_text(detail.on_behalf_of_proof)}"
    blocks: list[Block] = [
        Title("Who asks"),
        Fact("agent", f"{detail.agent}, version {detail.version}"),
        Fact("on behalf of", behalf or "nobody is named", "text" if behalf else "quiet"),
    ]
    if detail.goal:
        blocks.append(Fact("goal", detail.goal))
    return [*blocks, Fact("run", detail.run, "quiet")]


def _changes(detail: RequestDetail) -> list[Block]:
    blocks: list[Block] = [Title("What changes")]
    if detail.changes:
        blocks += change_blocks(detail)
    else:
        blocks.append(Prose("no preview: this tool cannot show what it would change", "quiet"))
    source = SOURCES.get(detail.blast_source, "declared in the tool's contract")
    reach = detail.blast_radius.strip()
    blocks.append(
        Fact("reach", f"{reach} ({source})") if reach else Fact("reach", "not declared", "warning")
    )
    back = detail.way_back
    blocks.append(Fact("way back", back) if back else Fact("way back", "none declared", "warning"))
    return blocks


def change_blocks(detail: RequestDetail) -> list[Block]:
    """Write the diff; fields that stay as they are take one line together."""
    changed = [c for c in detail.changes if c.before != c.after]
    same = [f"{c.field} {c.before}" for c in detail.changes if c.before == c.after]
    blocks: list[Block] = []
    if changed:
        blocks.append(Diff([(c.field, c.before, c.after, c.source) for c in changed]))
    if same:
        blocks.append(Fact("stays", ", ".join(same), "quiet"))
    return blocks


def _policy(detail: RequestDetail) -> list[Block]:
    words = detail.rule_text or "the contract asks for approval of this tool"
    return [Title("Why it is asked"), Prose(words), Fact("rule", detail.rule, "quiet")]


def _voters(detail: RequestDetail, moment: Moment) -> list[Block]:
    missing = max(0, detail.quorum - detail.approvals)
    blocks: list[Block] = [Title(f"Who must agree: {detail.approvals} of {detail.quorum} did")]
    if detail.state == "pending" and missing:
        blocks.append(Prose(f"waits for {plural(missing, 'person', 'people')} of {detail.role}"))
    for vote in detail.votes:
        approved = vote.verdict == "approve"
        said = "✓ approved" if approved else "✗ rejected"
        why = f": {vote.reason}" if vote.reason else ""
        who = f"{person_text(vote.person)} ({vote.role})"
        when = moment_text(vote.at, moment.now)
        blocks.append(Prose(f"{said} by {who} {when}{why}", "good" if approved else "critical"))
    for index, level in enumerate(detail.escalation, start=1):
        here = index == detail.level and detail.state == "pending"
        mark = "▸" if here else " "
        blocks.append(Line([span(f"{mark} {level}", "text" if here else "quiet")]))
    return blocks


def _history(detail: RequestDetail) -> list[Block]:
    like = detail.history or "none in the last 30 days"
    return [
        Title("Like requests"),
        Prose(like, "text" if detail.history else "quiet"),
        Title("Arguments, exactly as the approval covers them"),
        Code(detail.canonical),
        Fact("digest", detail.digest, "quiet"),
    ]


def _words(detail: RequestDetail) -> list[Block]:
    if not detail.explanation:
        return []
    return [
        Title("In the agent's own words, unchecked"),
        Quoted(f"{detail.agent} says", detail.explanation),
    ]


def _timeline(detail: RequestDetail) -> list[Block]:
    if not detail.timeline:
        return []
    rows = [(span(time_text(entry.at), "quiet"), span(entry.text)) for entry in detail.timeline]
    return [Title("Timeline"), *aligned(rows)]
