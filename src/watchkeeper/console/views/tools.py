"""Tools: what they may do, whether their definitions are trusted, and who calls them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from watchkeeper.console.blocks import Blank, Block, Code, Fact, Line, Prose, Quoted, Title
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, risk_span, span
from watchkeeper.console.views.aligned import aligned
from watchkeeper.console.words import (
    QUARANTINED,
    TOOL_STATES,
    UPSTREAM_STATES,
    VERDICTS,
    brief_text,
    count_text,
    moment_text,
    person_text,
    plural,
    say,
)
from watchkeeper.wire.plane import UpstreamRow
from watchkeeper.wire.tools import COUNTED, Definition, QuarantineRow, ToolDetail, ToolRow

PINNED_HOW = {
    "first sight": "as the plane first saw it",
    "accepted": "accepted",
    "contract": "named by its contract",
}


def cells(row: ToolRow, moment: Moment) -> Mapping[str, Span]:
    """Return the cells of a tool."""
    return {
        "state": state_span(row),
        "tool": span(row.name, "strong" if row.covered else "quiet"),
        "access": span(row.access or "–", "text" if row.access == "write" else "quiet"),
        "risk": risk_span(row.risk) if row.risk else span("–", "quiet"),
        "agents": _figure(row.agents),
        "calls": _figure(row.calls_day),
        "denied": _figure(row.denied_day)._replace(token="critical" if row.denied_day else "quiet"),
        "upstream": span(row.upstream or "the agents", "quiet"),
        "does": span(row.does, "quiet"),
    }


def state_span(row: ToolRow) -> Span:
    """Say whether it can be called; a lock or a missing contract says more than its pin."""
    if row.locks:
        return span("■ locked", "critical")
    if not row.covered and row.state not in QUARANTINED:
        return span("○ no contract", "quiet")
    return say(TOOL_STATES, row.state).span


def summary_words(rows: Iterable[ToolRow]) -> str:
    """Count the tools by what keeps them from being called."""
    rows = list(rows)
    parts = [plural(sum(row.covered for row in rows), "tool") + " under contract"]
    quarantined = sum(row.state in QUARANTINED for row in rows)
    uncovered = sum(not row.covered for row in rows)
    if quarantined:
        parts.append(f"{quarantined} in quarantine")
    if uncovered:
        parts.append(f"{uncovered} without a contract")
    return " · ".join(parts)


def brief_blocks(row: ToolRow) -> list[Block]:
    """Write what a list line knows, until the rest has arrived."""
    blocks: list[Block] = [Line([span(row.name, "strong"), span("  "), state_span(row)])]
    if row.covered:
        blocks.append(Prose(row.does))
    else:
        blocks += [
            Prose("No contract is in force for it, so no agent can call it.", "warning"),
            Prose(f"Draft one: watchkeeper tools draft {row.upstream}", "quiet"),
            Quoted("what the upstream says of it", row.does),
        ]
    if row.why:
        blocks.append(Prose(row.why, "critical"))
    return blocks


@dataclass(frozen=True)
class ToolFile:
    """Everything that is shown of one tool, read from two routes."""

    detail: ToolDetail
    upstream: UpstreamRow | None = None


def detail_blocks(file: ToolFile, moment: Moment) -> list[Block]:
    """Write a tool: its contract in words, its definitions, and what was decided of it."""
    detail = file.detail
    blocks = brief_blocks(detail)
    if detail.risk:
        harm = f"{detail.risk} risk, {'changes things' if detail.access == 'write' else 'reads'}"
        blocks.append(Fact("risk", harm))
    where = f"{detail.upstream} / {detail.upstream_tool}" if detail.upstream else "by the agents"
    blocks.append(Fact("performed", where))
    if file.upstream is not None:
        blocks += _upstream(file.upstream, moment)
    blocks.append(Fact("used by", ", ".join(detail.used_by) or "no agent's contract names it"))
    if detail.clauses:
        blocks.append(Title("Its contract in words"))
        blocks += aligned((span(c.about, "quiet"), span(c.text)) for c in detail.clauses)
    return [
        *blocks,
        *_differences(detail, moment),
        *_decided(detail),
        *_pinned(detail, moment),
        *_contract(detail),
    ]


def _upstream(row: UpstreamRow, moment: Moment) -> list[Block]:
    said = say(UPSTREAM_STATES, row.state)
    since = f", since {moment_text(row.since, moment.now)}" if row.since else ""
    words = f"{said.text}, {row.detail or row.kind}{since}"
    return [Fact("upstream", words, said.token)]


def _differences(detail: ToolDetail, moment: Moment) -> list[Block]:
    if detail.observed is None:
        return []
    blocks: list[Block] = [Title("In quarantine: what the upstream says now")]
    if detail.like:
        blocks.append(Prose(f"Its name could be mistaken for {detail.like}.", "critical"))
    blocks += diff_blocks(detail.diff)
    blocks.append(Fact("digest", detail.observed.digest))
    if detail.observed_at is not None:
        blocks.append(Fact("seen", moment_text(detail.observed_at, moment.now)))
    if detail.rejected_by:
        blocks.append(Fact("rejected by", person_text(detail.rejected_by), "warning"))
    if detail.observed.problem:
        blocks.append(Prose(detail.observed.problem, "critical"))
    elif any(clause.about == "pin" for clause in detail.clauses):
        blocks.append(Prose("To accept it change the contract's pin; x rejects it.", "quiet"))
    else:
        blocks.append(Prose("a accepts exactly this definition, x rejects it.", "quiet"))
    return blocks


def diff_blocks(lines: Sequence[str]) -> list[Block]:
    """Write a difference: the upstream's words, behind a gutter that they can't forge."""
    if not lines:
        return []
    return [Quoted("the difference, in the upstream's words", "\n".join(lines), 200)]


def _decided(detail: ToolDetail) -> list[Block]:
    if not detail.rules:
        return []
    counted = sum(rule.count for rule in detail.rules)
    least = "at least " if counted >= COUNTED else ""
    rows = (
        (
            say(VERDICTS, rule.verdict).span,
            span(count_text(rule.count)),
            span(brief_text(rule.rule)),
        )
        for rule in detail.rules
    )
    return [Title(f"Last 24 hours: {least}{plural(counted, 'call')}"), *aligned(rows, right=(1,))]


def _pinned(detail: ToolDetail, moment: Moment) -> list[Block]:
    if detail.pinned is None:
        return []
    how = PINNED_HOW.get(detail.pinned_how or "", "")
    by = f" by {person_text(detail.pinned_by)}" if detail.pinned_how == "accepted" else ""
    when = f", {moment_text(detail.pinned_at, moment.now)}" if detail.pinned_at else ""
    return [
        Title("The definition that is trusted"),
        Fact("pinned", f"{how}{by}{when}"),
        Fact("digest", detail.pinned.digest, "quiet"),
        *definition_blocks(detail.pinned),
    ]


def definition_blocks(definition: Definition) -> list[Block]:
    """Write a definition in its upstream's words; none of them is ours."""
    words = "\n".join(filter(None, (definition.title, definition.description)))
    shown = {
        "input": definition.input_schema,
        "output": definition.output_schema,
        "annotations": definition.annotations,
    }
    blocks: list[Block] = [Quoted("the upstream's words", words or "none")]
    for label, value in shown.items():
        if value:
            blocks.append(Quoted(label, json.dumps(value, indent=1, ensure_ascii=False)))
    return blocks


def _contract(detail: ToolDetail) -> list[Block]:
    if not detail.contract_yaml:
        return []
    return [
        Title("Contract"),
        Code(detail.contract_yaml),
        Fact("digest", detail.contract_digest or "–", "quiet"),
    ]


def judging_blocks(row: QuarantineRow, moment: Moment) -> list[Block]:
    """Write what a person is about to accept or reject."""
    over = ", ".join(row.names) or "no contract, so nobody can call it yet"
    blocks: list[Block] = [
        Line([say(TOOL_STATES, row.state).span, span(f"  {row.upstream} / {row.tool}", "strong")]),
        Prose(row.why, "warning"),
        Fact("contracts", over),
        Fact("since", moment_text(row.since, moment.now)),
    ]
    if row.like:
        blocks.append(Prose(f"Its name could be mistaken for {row.like}.", "critical"))
    return [*blocks, Blank(), *diff_blocks(row.diff), Fact("digest", row.digest, "quiet")]


def _figure(count: int) -> Span:
    more = "+" if count >= COUNTED else ""
    return span(count_text(count) + more, "text" if count else "quiet")
