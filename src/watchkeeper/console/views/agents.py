"""The fleet in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from watchkeeper.console.blocks import Block, Code, Fact, Line, Prose, Title
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, Token, risk_span, span
from watchkeeper.console.views.aligned import aligned
from watchkeeper.console.words import (
    AGENT_STATES,
    LOCK_MODES,
    RUN_STATES,
    VERDICTS,
    age_text,
    brief_text,
    count_text,
    measure_text,
    measure_word,
    money_text,
    period_text,
    person_text,
    plural,
    say,
    time_text,
)
from watchkeeper.wire.agents import AgentDetail, AgentRow, RunRow
from watchkeeper.wire.budgets import BudgetRow
from watchkeeper.wire.decisions import DecisionRow
from watchkeeper.wire.locks import LockRow

STATE_ORDER = ("stopped", "paused", "waiting", "silent", "working", "idle", "never seen")


@dataclass(frozen=True)
class AgentFile:
    """Everything that is shown of one agent, read from several routes."""

    detail: AgentDetail
    budgets: Sequence[BudgetRow] = ()
    runs: Sequence[RunRow] = ()
    decisions: Sequence[DecisionRow] = ()
    locks: Sequence[LockRow] = ()


def cells(row: AgentRow, moment: Moment) -> Mapping[str, Span]:
    """Return the cells of an agent."""
    return {
        "state": say(AGENT_STATES, row.state).span,
        "agent": span(row.name, "strong"),
        "doing": doing_cell(row),
        "calls": _figure(count_text(row.calls_hour), row.calls_hour, "text"),
        "denied": _figure(count_text(row.denied_hour), row.denied_hour, "critical"),
        "spend": _figure(money_text(row.spend_hour_micros), row.spend_hour_micros, "text"),
        "seen": moment.age(row.last_seen_at) if row.last_seen_at else span("never", "quiet"),
        "owner": span(row.owner, "quiet"),
    }


def doing_cell(row: AgentRow) -> Span:
    """Say why it does not work if it does not, else what it does."""
    if row.ailing_runs and row.state not in ("stopped", "paused"):
        words = f"{plural(row.ailing_runs, 'run')} silent, lost or stuck · {row.doing}"
        return span(brief_text(words), "warning")
    if row.why and row.state in ("stopped", "paused", "waiting"):
        return span(brief_text(row.why), "warning" if row.state == "waiting" else "critical")
    return span(
        brief_text(row.doing) or "–", "text" if row.state in ("working", "waiting") else "quiet"
    )


def fleet_words(rows: Iterable[AgentRow]) -> str:
    """Count the agents by state, those that need attention first."""
    counts = dict.fromkeys(STATE_ORDER, 0)
    for row in rows:
        counts[row.state] = counts.get(row.state, 0) + 1
    return " · ".join(f"{count} {state}" for state, count in counts.items() if count)


def brief_blocks(row: AgentRow, moment: Moment) -> list[Block]:
    """Write what a list line knows, until the rest has arrived."""
    said = say(AGENT_STATES, row.state)
    seen = age_text(row.last_seen_at, moment.now)
    blocks: list[Block] = [
        Line([span(row.name, "strong"), span("  "), said.span, span(f"  seen {seen}", "quiet")]),
    ]
    if row.doing:
        blocks.append(Prose(row.doing))
    if row.why:
        blocks.append(Prose(row.why, "critical" if row.state == "stopped" else "warning"))
    hour = (
        f"{plural(row.calls_hour, 'call')}, {row.denied_hour} denied, {row.held} held, "
        f"{money_text(row.spend_hour_micros)}"
    )
    return [
        *blocks,
        Fact("owner", row.owner),
        Fact("last hour", hour),
        Fact("today", money_text(row.spend_day_micros)),
    ]


def detail_blocks(file: AgentFile, moment: Moment) -> list[Block]:
    """Write an agent: what it does, what it may, what it may spend, what it did."""
    detail = file.detail
    blocks = brief_blocks(detail, moment)
    for lock in file.locks:
        mode = say(LOCK_MODES, lock.mode)
        when = age_text(lock.created_at, moment.now)
        text = f"{mode.text} by {person_text(lock.by)} {when}: {lock.reason}"
        blocks.insert(1, Prose(text, "critical"))
    if detail.mission:
        blocks.append(Fact("mission", detail.mission))
    if detail.business_process:
        blocks.append(Fact("process", detail.business_process))
    if detail.spiffe_id:
        blocks.append(Fact("identity", detail.spiffe_id, "quiet"))
    return [
        *blocks,
        *_envelope(detail),
        *_budgets(detail, file.budgets),
        *_runs(file.runs, moment),
        *_decisions(file.decisions),
        Title(f"Contract, version {detail.version}"),
        Code(detail.contract_yaml),
        Fact("digest", detail.contract_digest, "quiet"),
    ]


def _figure(text: str, value: int, token: Token) -> Span:
    return span(text, token if value else "quiet")


_MAY: dict[str, tuple[str, Token]] = {
    "yes": ("✓ may", "good"),
    "approval": ("◐ asks first", "warning"),
    "never": ("✗ never", "critical"),
}


def _envelope(detail: AgentDetail) -> list[Block]:
    """Write the permission envelope: every tool and model its contract names, in words."""
    rows: list[tuple[Span, ...]] = []
    for grant in detail.envelope.rows:
        word, token = _MAY[grant.may]
        risk = risk_span(grant.risk) if grant.kind == "tool" else span("model", "quiet")
        words = "" if grant.words in ("freely", "") else grant.words
        said = ". ".join(part.rstrip(".") for part in (words, grant.does) if part)
        rows.append((span(word, token), span(grant.name), risk, span(said, "quiet")))
    rest = "Everything else is refused." if rows else "No tool and no model: all is refused."
    return [Title("What it may do"), *aligned(rows), Prose(rest, "quiet")]


def _budgets(detail: AgentDetail, budgets: Sequence[BudgetRow]) -> list[Block]:
    if not budgets and not detail.budgets:
        return []
    rows = [_budget_row(row) for row in budgets]
    capped = [name.rpartition("/")[2] for name in detail.budgets if name.startswith("run/*/")]
    blocks: list[Block] = [Title("What it may spend"), *aligned(rows)]
    if capped:
        measures = ", ".join(measure_word(measure) for measure in capped)
        blocks.append(Fact("each run", f"its contract caps {measures}"))
    return blocks


def _budget_row(row: BudgetRow) -> tuple[Span, ...]:
    used = measure_text(row.measure, row.posted + row.held)
    cap = measure_text(row.measure, row.cap + row.topped_up)
    tokens: dict[str, Token] = {"exhausted": "critical", "warning": "warning"}
    word = "" if row.state == "ok" else f" {row.state}"
    return (
        span(f"{used} of {cap}{word}", tokens.get(row.state, "text")),
        span(f"{measure_word(row.measure)} {period_text(row.period)}"),
        span(brief_text(row.scope), "quiet"),
    )


def _runs(runs: Sequence[RunRow], moment: Moment) -> list[Block]:
    if not runs:
        return []
    rows = [
        (say(RUN_STATES, row.state).span, moment.age(row.opened_at), span(row.goal)) for row in runs
    ]
    return [Title("Runs, newest first"), *aligned(rows)]


def _decisions(decisions: Sequence[DecisionRow]) -> list[Block]:
    if not decisions:
        return []
    rows = []
    for row in decisions:
        why = "" if row.verdict == "permit" else row.reason
        rows.append(
            (
                span(time_text(row.at), "quiet"),
                say(VERDICTS, row.verdict).span,
                span(row.name),
                span(brief_text(why), "quiet"),
            )
        )
    return [Title("Last decisions"), *aligned(rows)]
