"""Policy sets: what they say, what they decided, and what a change of them would do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from watchkeeper.console.blocks import Blank, Block, Code, Fact, Line, Prose, Title
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, span
from watchkeeper.console.views.aligned import aligned
from watchkeeper.console.words import (
    STAGES,
    VERDICTS,
    brief_text,
    count_text,
    moment_text,
    person_text,
    plural,
    say,
    time_text,
)
from watchkeeper.wire.decisions import DecisionRow
from watchkeeper.wire.policy import (
    PolicyRow,
    PolicySetDetail,
    PolicySetRow,
    PolicyVersionRow,
    ReplayGroup,
    ReplayResult,
)

EFFECTS = {"permit": "permits", "forbid": "forbids", "ask": "asks a person"}
MEANS = {
    "observe": "asked and recorded, never obeyed",
    "warn": "not obeyed, but agents and the watch are told",
    "enforce": "obeyed",
}


def cells(row: PolicySetRow, moment: Moment) -> Mapping[str, Span]:
    """Return the cells of a policy set."""
    return {
        "stage": say(STAGES, row.stage).span,
        "set": span(row.name, "strong"),
        "version": span(f"v{row.version}", "quiet"),
        "policies": span(count_text(len(row.policies))),
        "denied": _figure(row.denials_day, warn=True),
        "held": _figure(row.holds_day),
        "would": _figure(row.would_day),
        "fired": moment.age(row.last_fired_at) if row.last_fired_at else span("never", "quiet"),
        "since": moment.age(row.active_since),
        "by": span(person_text(row.by), "quiet"),
    }


def summary_words(rows: Iterable[PolicySetRow]) -> str:
    """Count the sets by stage."""
    rows = list(rows)
    counts = {stage: sum(row.stage == stage for row in rows) for stage in STAGES}
    return " · ".join(f"{count} {stage}" for stage, count in counts.items() if count)


def brief_blocks(row: PolicySetRow, moment: Moment) -> list[Block]:
    """Write what a list line knows."""
    return [
        Line([span(row.name, "strong"), span(f"  v{row.version}  "), say(STAGES, row.stage).span]),
        Fact("stage", f"{row.stage}: {MEANS.get(row.stage, 'unknown to this console')}"),
        Fact("in force", f"{moment_text(row.active_since, moment.now)}, by {person_text(row.by)}"),
        Fact("file", row.path),
    ]


def detail_blocks(
    detail: PolicySetDetail, decided: Sequence[DecisionRow], moment: Moment
) -> list[Block]:
    """Write a set: its policies in words, what they decided last, and its text."""
    return [
        *brief_blocks(detail, moment),
        Title(plural(len(detail.rules), "policy", "policies")),
        *aligned(_rule_row(rule) for rule in detail.rules),
        *_decided(decided),
        Title(f"Text, version {detail.version}"),
        Code(detail.text),
        Fact("digest", detail.digest, "quiet"),
    ]


def _rule_row(rule: PolicyRow) -> tuple[Span, ...]:
    counts = ", ".join(
        words
        for words in (
            f"{rule.denials_day} denied" if rule.denials_day else "",
            f"{rule.holds_day} held" if rule.holds_day else "",
        )
        if words
    )
    asks = rule.annotations.get("approver_role")
    effect = f"asks {asks}" if rule.effect == "ask" and asks else EFFECTS[rule.effect]
    return (
        span(rule.policy, "strong"),
        span(effect, "warning" if rule.effect == "ask" else "text"),
        span(f"{rule.message or 'no @message'}{f' ({counts} today)' if counts else ''}", "quiet"),
    )


def _decided(decided: Sequence[DecisionRow]) -> list[Block]:
    if not decided:
        return [Title("Last decisions"), Prose("It has denied and held nothing yet.", "quiet")]
    rows = (
        (
            span(time_text(row.at), "quiet"),
            say(VERDICTS, row.verdict).span,
            span(row.agent),
            span(row.name),
            span(row.rule.removeprefix("policy/"), "quiet"),
        )
        for row in decided
    )
    return [Title("Last decisions"), *aligned(rows)]


def version_blocks(versions: Sequence[PolicyVersionRow], moment: Moment) -> list[Block]:
    """Write the versions of a set, newest first, each against the one before it."""
    blocks: list[Block] = []
    for version in versions:
        mark = "  in force" if version.in_force else ""
        blocks += [
            Title(f"Version {version.version}{mark}"),
            Fact("applied", moment_text(version.applied_at, moment.now)),
            Fact("by", person_text(version.by)),
        ]
        blocks.append(Code(version.diff) if version.diff else Prose("the same text", "quiet"))
    return blocks


def replay_blocks(result: ReplayResult, what: str) -> list[Block]:
    """Write what a replay found, or how far it is."""
    blocks: list[Block] = [Prose(what, "strong")]
    if result.state == "failed":
        return [*blocks, Prose(result.error or "it failed; the plane's log says why", "critical")]
    blocks.append(Fact("looked at", f"{result.looked_at:,} of {result.total:,} decisions"))
    if result.state == "running":
        blocks.append(Prose("the plane goes on …", "quiet"))
    verdict = plural(result.differ, "decision") + " would be another"
    blocks.append(Fact("differ", verdict, "warning" if result.differ else "good"))
    blocks.append(Fact("the same", f"{result.same:,}, {result.other_rule:,} of another rule"))
    if result.kept:
        blocks.append(
            Fact("kept", f"{result.kept:,} refusals of locks, budgets, rates and identity")
        )
    if result.skipped:
        blocks.append(Fact("skipped", f"{result.skipped:,} whose arguments were not kept"))
    for group in result.groups:
        blocks += _group(group)
    if result.groups_left_out:
        blocks.append(Prose(f"… and {result.groups_left_out} more groups", "quiet"))
    if result.notes:
        blocks.append(Blank())
        blocks += [Prose(note, "quiet") for note in result.notes]
    return blocks


def _group(group: ReplayGroup) -> list[Block]:
    before, after = say(VERDICTS, group.before), say(VERDICTS, group.after)
    rows = (
        (
            span(time_text(example.at), "quiet"),
            span(brief_text(example.decision)),
            span(brief_text(example.after_reason), "quiet"),
        )
        for example in group.examples
    )
    return [
        Title(f"{plural(group.count, 'decision')}: {group.agent} → {group.name}"),
        Line([before.span, span(f"  {group.before_rule}", "quiet")]),
        Line([after.span, span(f"  {group.rule}", "quiet")]),
        *aligned(rows),
    ]


def _figure(count: int, *, warn: bool = False) -> Span:
    return span(count_text(count), ("critical" if warn else "text") if count else "quiet")
