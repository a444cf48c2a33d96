"""Runs: what each piece of work is for, what it did and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from watchkeeper.console.blocks import Block, Fact, Line, Prose, Title
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, span
from watchkeeper.console.views.aligned import aligned
from watchkeeper.console.views.requests import object_text
from watchkeeper.console.words import (
    RUN_HEALTH,
    RUN_STATES,
    VERDICTS,
    Said,
    actor_text,
    brief_text,
    count_text,
    moment_text,
    money_text,
    plural,
    proof_text,
    say,
    time_text,
)
from watchkeeper.core.money import dollars
from watchkeeper.wire.agents import RunDetail, RunRow
from watchkeeper.wire.decisions import DecisionRow

REPLAY = "↻ "
"""Marks a run that somebody tries out, which is nobody's work."""


@dataclass(frozen=True)
class RunFile:
    """A run and what was decided of its actions."""

    detail: RunDetail
    decisions: Sequence[DecisionRow] = ()


def cells(row: RunRow, moment: Moment) -> Mapping[str, Span]:
    """Return the cells of a run."""
    return {
        "age": moment.age(row.opened_at),
        "state": state_of(row).span,
        "agent": span(f"{REPLAY if row.replay_of else ''}{row.agent}", "strong"),
        "goal": _goal(row),
        "object": span(object_text(row.business_object) or "–", "quiet"),
        "calls": span(count_text(row.calls), "text" if row.calls else "quiet"),
        "denied": span(count_text(row.denied), "critical" if row.denied else "quiet"),
        "spend": span(money_text(row.spend_micros), "text" if row.spend_micros else "quiet"),
        "tokens": span(count_text(row.tokens), "quiet"),
        "last": moment.age(row.last_action_at) if row.last_action_at else span("–", "quiet"),
    }


def state_of(row: RunRow) -> Said:
    """Say how it stands; of an open one that somebody should look at, what is wrong."""
    if row.state == "open" and row.health in RUN_HEALTH:
        return say(RUN_HEALTH, row.health)
    return say(RUN_STATES, row.state)


def _goal(row: RunRow) -> Span:
    ailing = row.state == "open" and row.health in RUN_HEALTH
    why = row.why or (row.health_why if ailing else None)
    return span(brief_text(why or row.goal), "critical" if why else "text")


def blocks(row: RunRow, moment: Moment, decisions: Sequence[DecisionRow] = ()) -> list[Block]:
    """Write a run with its actions in order."""
    said = state_of(row)
    held: list[Block] = [
        Prose(row.goal, "strong"),
        Line([said.span, span(f"  {row.agent}, version {row.version}")]),
    ]
    if row.replay_of is not None:
        held.append(Prose(f"{REPLAY}A replay: somebody tried out what would happen.", "accent"))
        held.append(Fact("replay of", row.replay_of))
    if row.why:
        held.append(Prose(row.why, "critical"))
    if row.state == "open" and row.health is not None:
        words = f"{row.health}: {row.health_why}" if row.health_why else row.health
        held.append(Fact("health", words, "critical" if row.health in RUN_HEALTH else "text"))
    behalf = actor_text(row.on_behalf_of)
    if behalf:
        held.append(Fact("on behalf of", f"{behalf}, {proof_text(row.on_behalf_of_proof)}"))
    if row.business_object is not None:
        held.append(Fact("about", object_text(row.business_object)))
    held.append(Fact("opened", moment_text(row.opened_at, moment.now)))
    if row.closed_at is not None:
        held.append(Fact("closed", moment_text(row.closed_at, moment.now)))
    used = (
        f"{plural(row.calls, 'call')}, {row.denied} denied, "
        f"{money_text(row.spend_micros)}, {count_text(row.tokens)} tokens"
    )
    held.append(Fact("used", used))
    if isinstance(row, RunDetail):
        held.append(Fact("environment", row.environment))
        if row.summary:
            held.append(Fact("summary", row.summary))
    held.append(Fact("run", row.run, "quiet"))
    if decisions:
        held += [Title("What it asked for, newest first"), *aligned(map(_decision, decisions))]
    return held


def _decision(row: DecisionRow) -> tuple[Span, ...]:
    ended = row.outcome or ""
    why = ended if row.verdict == "permit" else row.reason
    return (
        span(time_text(row.at), "quiet"),
        say(VERDICTS, row.verdict).span,
        span(row.name if row.model in (None, row.name) else f"{row.name} > {row.model}"),
        span(dollars(row.cost_micros) if row.cost_micros else "", "quiet"),
        span(why, "quiet"),
    )
