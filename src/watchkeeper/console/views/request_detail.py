"""One approval request in full, in the order in which it matters to whoever decides it."""

from __future__ import annotations

from watchkeeper.console.blocks import Blank, Block, Code, Diff, Fact, Line, Prose, Quoted, Title
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, Token, risk_span, span
from watchkeeper.console.views.aligned import aligned
from watchkeeper.console.views.requests import deed_blocks, is_late, why_not_decide
from watchkeeper.console.words import (
    REQUEST_STATES,
    SOON_SECONDS,
    actor_text,
    moment_text,
    person_text,
    plural,
    proof_text,
    say,
    seconds_between,
    span_text,
    time_text,
)
from watchkeeper.wire.digests import is_as_shown
from watchkeeper.wire.requests import RequestDetail, RequestRow, VoteRow

SOURCES = {"measured": "measured by the plane", "claimed": "claimed by the agent"}
VERDICTS: dict[str, tuple[str, Token]] = {
    "approve": ("✓ approved", "good"),
    "reject": ("✗ rejected", "critical"),
    "changes": ("✗ asked for changes", "warning"),
    "break-glass": ("! approved alone", "warning"),
}
EDITS = {
    "lower": "may be lowered",
    "fewer": "items may be taken out",
    "words": "may be reworded",
}


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
        *_said(detail, moment),
        *_history(detail),
        *argument_blocks(detail),
        *_words(detail),
        *_timeline(detail),
    ]


def argument_blocks(detail: RequestDetail) -> list[Block]:
    """Write exactly what the approval covers."""
    return [
        Title("Arguments, exactly as the approval covers them"),
        Code(detail.canonical),
        Fact("digest", detail.digest, "quiet"),
        *_proof(detail),
    ]


def _proof(detail: RequestDetail) -> list[Block]:
    as_shown = is_as_shown(detail)
    if as_shown is None:
        return []
    if as_shown:
        return [Fact("", "✓ computed here from exactly what is shown", "good")]
    return [Prose("! The digest is not of what is shown: decide nothing", "critical")]


def warning_blocks(detail: RequestDetail) -> list[Block]:
    """Write what an eye may miss: characters that hide or pass for others."""
    return [Prose(f"! {words}", "warning") for words in detail.suspicious]


def _deed(row: RequestRow, moment: Moment) -> list[Block]:
    blocks: list[Block] = [*deed_blocks(row), Line(_standing(row, moment))]
    if isinstance(row, RequestDetail):
        blocks += warning_blocks(row)
    why_not = why_not_decide(row)
    if row.state == "pending" and why_not:
        blocks.append(Prose(f"You may not decide this: {why_not}", "warning"))
    if row.state == "pending" and row.acknowledged_by:
        until = row.acknowledged_until
        when = f" until {moment_text(until, moment.now)}" if until else ""
        blocks.append(Prose(f"{person_text(row.acknowledged_by)} is on it{when}: nobody is called"))
    if row.caller_gone:
        words = "The caller hung up: whatever is decided, nothing runs until it asks again."
        blocks.append(Prose(words, "warning"))
    if row.break_glass:
        blocks.append(Prose(_review_words(row, moment), "warning"))
    return blocks


def _review_words(row: RequestRow, moment: Moment) -> str:
    if row.reviewed_by:
        verdict = row.review_verdict if isinstance(row, RequestDetail) else None
        return f"Approved alone; reviewed by {person_text(row.reviewed_by)}: {verdict or 'done'}"
    due = f" by {moment_text(row.review_due_at, moment.now)}" if row.review_due_at else ""
    return f"! Approved alone, by one person: somebody else must review it{due}"


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
    elif detail.kind == "action":
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
    blocks: list[Block] = [
        Title("Why it is asked"),
        Prose(words),
        Fact("rule", detail.rule, "quiet"),
    ]
    if detail.standing:
        blocks.append(Fact("standing", detail.standing, "quiet"))
    if detail.supersedes:
        blocks.append(Fact("follows", detail.supersedes))
    if detail.narrowed:
        by = person_text(detail.narrowed_by)
        blocks.append(Prose(f"{by or 'a person'} narrowed what {detail.agent} asked:"))
        blocks.append(Diff([(one.argument, one.before, one.after, "") for one in detail.narrowed]))
    if detail.superseded_by:
        blocks.append(Fact("superseded", f"{detail.superseded_by} stands for it now"))
    return blocks


def _lacking(detail: RequestDetail, missing: int) -> str:
    """Say how many of whom must agree yet; the levels' roles stand for the first one."""
    if len(detail.groups) < 2:
        asked = " or ".join(detail.asked) or detail.role
        return f"{plural(missing, 'person', 'people')} of {asked}"
    named = [group.role for group in detail.groups]
    instead = " or ".join((named[0], *(role for role in detail.asked if role not in named)))
    lacking = [(max(0, one.count - one.have), one.role) for one in detail.groups]
    return " and ".join(
        f"{count} of {instead if role == named[0] else role}" for count, role in lacking if count
    )


def _voters(detail: RequestDetail, moment: Moment) -> list[Block]:
    blocks: list[Block] = [Title(f"Who must agree: {detail.approvals} of {detail.quorum} did")]
    if len(detail.groups) > 1:
        for group in detail.groups:
            done = group.have >= group.count
            words = f"{'✓' if done else '…'} {group.role}: {group.have} of {group.count}"
            blocks.append(Line([span(words, "good" if done else "text")]))
    missing = max(0, detail.quorum - detail.approvals)
    if detail.state == "pending" and missing:
        blocks.append(Prose(f"waits for {_lacking(detail, missing)}"))
        blocks += [Fact("on call", one, "quiet") for one in detail.on_call]
        takes = takes_words(detail)
        if takes:
            blocks.append(Fact("a vote takes", takes))
        if detail.edits:
            may = ", ".join(f"{k} {EDITS.get(how, how)}" for k, how in detail.edits.items())
            blocks.append(Fact("narrower", may, "quiet"))
    blocks += [_vote(vote, moment) for vote in detail.votes]
    for index, level in enumerate(detail.escalation, start=1):
        here = index == detail.level and detail.state == "pending"
        mark = "▸" if here else " "
        blocks.append(Line([span(f"{mark} {level}", "text" if here else "quiet")]))
    return blocks


def takes_words(detail: RequestDetail) -> str:
    """Say what a vote on this takes beside the key: signature, reason, time, reading it all."""
    rules = detail.deciding
    parts = []
    if rules.signed:
        parts.append("your SSH signature")
    if rules.reason:
        parts.append("a reason")
    if rules.view_seconds:
        parts.append(f"{rules.view_seconds:g} s of reading")
    if rules.read_to_end:
        parts.append("reading to the end")
    return ", ".join(parts)


def _vote(vote: VoteRow, moment: Moment) -> Block:
    said, token = VERDICTS.get(vote.verdict, (vote.verdict, "text"))
    who = person_text(vote.person)
    if vote.acting_for:
        who += f" for {person_text(vote.acting_for)}"
    how = f", signed with {vote.key}" if vote.key else ""
    why = f": {vote.reason}" if vote.reason else ""
    when = moment_text(vote.at, moment.now)
    return Prose(f"{said} by {who} ({vote.role}{how}) {when}{why}", token)


def _said(detail: RequestDetail, moment: Moment) -> list[Block]:
    blocks: list[Block] = []
    if detail.comments:
        blocks.append(Title("What people said"))
    for comment in detail.comments:
        when = moment_text(comment.at, moment.now)
        blocks.append(Quoted(f"{person_text(comment.person)}, {when}", comment.text))
    if detail.judgements:
        blocks.append(Title("Judged later"))
    for one in detail.judgements:
        note = f": {one.note}" if one.note else ""
        token: Token = "good" if one.verdict == "right" else "warning"
        blocks.append(Prose(f"{one.verdict}, says {person_text(one.person)}{note}", token))
    return blocks


def _history(detail: RequestDetail) -> list[Block]:
    like = detail.history or "none in the last 30 days"
    return [Title("Like requests"), Prose(like, "text" if detail.history else "quiet")]


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
