"""What needs a person now, in the order the plane ranks it."""

from __future__ import annotations

from collections.abc import Mapping

from watchkeeper.console.blocks import Blank, Block, Fact, Prose
from watchkeeper.console.moment import Moment, duration_text
from watchkeeper.console.painting import Span, risk_span, span
from watchkeeper.console.words import (
    HOUR,
    SOON_SECONDS,
    age_text,
    brief_text,
    moment_text,
    money_text,
    plural,
    seconds_between,
)
from watchkeeper.wire.plane import Need, Status

DEEDS: Mapping[str, str] = {
    "request": "decide",
    "budget": "top up",
    "lock": "lift",
    "agent": "look",
    "upstream": "check",
    "tool": "judge",
    "policy": "stage",
    "oncall": "cover",
    "handover": "read",
    "plane": "check",
    "breaker": "close",
    "run": "look",
    "outcome": "settle",
    "incident": "look",
}
"""What to do in one word, by kind; the detail has the plane's whole sentence."""


def cells(row: Need, moment: Moment) -> Mapping[str, Span]:
    """Return the cells of a need."""
    return {
        "left": left_cell(row, moment),
        "risk": risk_span(row.risk),
        "do": deed_cell(row),
        "matter": span(brief_text(row.text), "text" if row.mine else "quiet"),
        "since": moment.age(row.since),
    }


def deed_cell(row: Need) -> Span:
    """Say in one word what to do; that it waits for somebody else if it does."""
    if not row.mine:
        return span("others", "quiet")
    if row.kind == "lock" and row.todo.startswith("check"):
        return span("check")
    if row.kind == "request" and row.todo.startswith("review"):
        return span("review")
    return span(DEEDS.get(row.kind, "look"))


def left_cell(row: Need, moment: Moment) -> Span:
    """Say the time left, if it has an end."""
    if row.due_at is None:
        return span("–", "quiet")
    left = seconds_between(moment.now, row.due_at)
    if left < 0 or moment.absolute:
        return moment.left(row.due_at)
    if left < SOON_SECONDS:
        return span(f"{duration_text(left):<5} !", "critical")
    return span(duration_text(left), "text" if left < HOUR else "quiet")


def blocks(row: Need, moment: Moment) -> list[Block]:
    """Write a need: what is the matter, what to do, how long."""
    held: list[Block] = [
        Prose(row.text, "strong"),
        Prose(f"→ {row.todo}", "accent"),
        Blank(),
        Fact("harm", risk_span(row.risk)),
    ]
    if row.due_at is not None:
        held.append(Fact("due", moment_text(row.due_at, moment.now)))
    held.append(Fact("since", age_text(row.since, moment.now)))
    if row.agent:
        held.append(Fact("agent", row.agent))
    held.append(Fact("subject", row.subject, "quiet"))
    if not row.mine:
        held.append(Prose("It waits for somebody else; you may only look.", "quiet"))
    return held


def figures(status: Status) -> list[Span]:
    """Write the compact line of fleet figures."""
    late = f" ({status.late} late)" if status.late else ""
    spent = money_text(status.spend_hour_micros)
    spans: list[Span] = []
    if status.store != "ok":
        spans.append(span("■ the store does not answer: everything is refused · ", "critical"))
    if status.upstreams_down:
        spans.append(span(f"■ down: {', '.join(status.upstreams_down)} · ", "critical"))
    return [
        *spans,
        span(plural(status.agents, "agent"), "strong"),
        span(f" · {plural(status.open_runs, 'open run')}"),
        span(f" · {plural(status.pending, 'approval')}"),
        span(late, "warning"),
        span(f" · {plural(status.calls_hour, 'call')}, {spent} last hour"),
    ]


def place_of(row: Need) -> tuple[str, str | None]:
    """Return the pane that a need opens in, and the item there, where it is one."""
    if row.kind == "oncall":
        return "oncall", f"role/{row.subject}"
    if row.kind in ("handover", "plane"):
        return ("oncall" if row.kind == "handover" else "ledger"), None
    if row.kind == "upstream" and row.need.startswith("provider/"):
        return "models", row.need
    if row.kind == "runtime":
        return "runtimes", row.subject
    panes = {
        "request": "approvals",
        "budget": "budgets",
        "lock": "locks",
        "agent": "fleet",
        "upstream": "fleet",
        "tool": "tools",
        "policy": "policy",
        "run": "runs",
        "incident": "incidents",
    }
    return panes.get(row.kind, "watch"), row.subject
