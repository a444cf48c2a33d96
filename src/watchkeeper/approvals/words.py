"""Requests in words: their levels, others like them, what happened to them."""

from __future__ import annotations

import json

from sqlalchemy import bindparam, func, select

from watchkeeper.approvals.tables import requests
from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction

HISTORY_DAYS = 30

_HISTORY = Statement(
    select(requests.c.state, func.count().label("count"))
    .where(
        requests.c.agent == bindparam("agent_is"),
        requests.c.tool == bindparam("tool_is"),
        requests.c.created_at > bindparam("since"),
        requests.c.request != bindparam("but"),
    )
    .group_by(requests.c.state)
)


def escalation_words(row: Row) -> tuple[str, ...]:
    """Say of each level whether and when it is asked, and what happens at the end."""
    lines = []
    for number, (role, after) in enumerate(json.loads(row.levels), 1):
        at = utc_text(row.created_at + after * MICROSECONDS)
        if number < row.level:
            state = "was asked and may still decide"
        elif number == row.level:
            state = f"asked since {utc_text(row.level_entered_at)}"
        elif row.state == "pending" and row.created_at + after * MICROSECONDS < row.decide_by:
            state = f"from {at}"
        else:
            state = "not asked"
        lines.append(f"{number}. {role}: {state}")
    outcome = "denied" if row.timeout_outcome == "deny" else "allowed"
    return (*lines, f"{utc_text(row.decide_by)}: {outcome} if nobody decides")


def history_words(tx: Transaction, row: Row) -> str:
    """Say how other requests of this agent for this tool ended lately."""
    since = row.created_at - HISTORY_DAYS * 86_400 * MICROSECONDS
    counts: dict[str, int] = {
        other.state: other.count
        for other in _HISTORY.all(
            tx, agent_is=row.agent, tool_is=row.tool, since=since, but=row.request
        )
    }
    like = f"{row.tool} by {row.agent} in the last {HISTORY_DAYS} days"
    if not counts:
        return f"No other request for {like}."
    groups = {
        "approved": ("approved", "redeemed", "succeeded", "failed", "unknown", "lapsed"),
        "rejected": ("denied",),
        "expired": ("expired",),
        "revoked": ("revoked",),
        "cancelled": ("cancelled",),
        "pending": ("pending",),
    }
    sums = {word: sum(counts.get(state, 0) for state in states) for word, states in groups.items()}
    told = ", ".join(f"{count} {word}" for word, count in sums.items() if count)
    failed = counts.get("failed", 0) + counts.get("unknown", 0)
    text = f"{sum(counts.values())} other requests for {like}: {told}"
    return text + (f"; {failed} approved ones did not succeed." if failed else ".")


def event_words(row: Row) -> str:
    """Say an event of a request in words; what it quotes from outside is untrusted."""
    body = json.loads(row.body)
    for name in ("text", "reason"):
        if isinstance(body.get(name), str):
            return str(body[name])
    rest = [f"{name} {value}" for name, value in body.items() if isinstance(value, str | int)]
    return f"{row.type.replace('.', ' ')}" + (f": {', '.join(rest[:4])}" if rest else "")
