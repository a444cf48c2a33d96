"""Requests in words: their levels, others like them, what happened to them."""

from __future__ import annotations

import json

from sqlalchemy import bindparam, func, select

from watchkeeper.approvals.rows import policy_of, position_of
from watchkeeper.approvals.tables import requests
from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.oncall.model import Level
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction

HISTORY_DAYS = 30

MOST_COUNTED = 1000
"""How many of the newest are counted: a busy agent has a hundred thousand."""

_LATELY = (
    select(requests.c.state)
    .where(
        requests.c.agent == bindparam("agent_is"),
        requests.c.tool == bindparam("tool_is"),
        requests.c.created_at > bindparam("since"),
        requests.c.request != bindparam("but"),
    )
    .order_by(requests.c.created_at.desc())
    .limit(MOST_COUNTED)
    .subquery()
)
_HISTORY = Statement(select(_LATELY.c.state, func.count().label("count")).group_by(_LATELY.c.state))


def escalation_words(row: Row) -> tuple[str, ...]:
    """Say of each level whether and when it is asked, what waits, and what happens at the end."""
    policy, position = policy_of(row), position_of(row)
    lines = []
    for number, level in enumerate(policy.levels, 1):
        at = position.counts_from + level.after_seconds * MICROSECONDS
        if number == position.level:
            state = f"asked since {utc_text(position.entered_at)}"
        elif number < position.level or position.round > 1:
            state = "was asked and may still decide" if level.role else "was told"
        elif row.state == "pending" and position.acknowledged_until is not None:
            state = "waits"
        elif row.state == "pending" and at < row.decide_by:
            state = f"from {utc_text(at)}"
        else:
            state = "not asked"
        lines.append(f"{number}. {_asked(level)}: {state}")
    if row.state == "pending" and position.acknowledged_until is not None:
        until = utc_text(position.acknowledged_until)
        name = row.acknowledged_by.removeprefix("person/")
        lines.append(f"{name} is on it: nobody else is asked until {until}")
    elif row.state == "pending" and position.round < policy.rounds:
        at = position.counts_from + policy.round_seconds * MICROSECONDS
        if at < row.decide_by:
            lines.append(
                f"{utc_text(at)}: asks from the first level again "
                f"(round {position.round + 1} of {policy.rounds})"
            )
    if row.state != "pending":
        return tuple(lines)
    outcome = "denied" if row.timeout_outcome == "deny" else "allowed"
    return (*lines, f"{utc_text(row.decide_by)}: {outcome} if nobody decides")


def _asked(level: Level) -> str:
    told = f"channel {level.channel}" if level.channel else ""
    return ", ".join(part for part in (level.role, told) if part)


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
        "superseded": ("superseded",),
        "pending": ("pending",),
    }
    sums = {word: sum(counts.get(state, 0) for state in states) for word, states in groups.items()}
    told = ", ".join(f"{count} {word}" for word, count in sums.items() if count)
    failed = counts.get("failed", 0) + counts.get("unknown", 0)
    number = sum(counts.values())
    which = f"the newest {number:,}" if number == MOST_COUNTED else str(number)
    text = f"{which} other request{'' if number == 1 else 's'} for {like}: {told}"
    return text + (f"; {failed} of the approved did not succeed." if failed else ".")


_SAID = {
    "decision.held": "the agent asked for it, and was told to wait",
    "decision.permitted": "permitted: the agent's call runs now",
}


def event_words(type_: str, body_text: str) -> str:
    """Say an event of a request in words; what it quotes from outside is untrusted."""
    body = json.loads(body_text)
    if type_ in _SAID:
        return _SAID[type_]
    if type_ == "decision.denied":
        return f"the agent asked for it and was refused: {body.get('reason', '')}"
    if type_ == "outcome.recorded":
        error = body.get("error")
        return f"how it ended: {body.get('status')}" + (f": {error}" if error else "")
    for name in ("text", "reason"):
        if isinstance(body.get(name), str):
            return str(body[name])
    rest = [f"{name} {value}" for name, value in body.items() if isinstance(value, str | int)]
    return f"{type_.replace('.', ' ')}" + (f": {', '.join(rest[:4])}" if rest else "")
