"""The steps of a pending request: reminders, levels, rounds, "I am on it", and its end."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from sqlalchemy import bindparam, func, update

from watchkeeper.approvals.asking import Asking, ask, in_brackets
from watchkeeper.approvals.coverage import Coverage, available, named, remember
from watchkeeper.approvals.deciding import DEADLINE, decide
from watchkeeper.approvals.rows import (
    IS_PENDING,
    TIMER,
    excluded_of,
    groups_of,
    next_step_of,
    policy_of,
    position_of,
    record,
)
from watchkeeper.approvals.rules import state_at_deadline
from watchkeeper.approvals.tables import requests
from watchkeeper.core.clock import utc_text
from watchkeeper.oncall.model import Holders, Position, Step
from watchkeeper.oncall.rules import next_step
from watchkeeper.store import timers
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction

_MOVE = Statement(
    update(requests)
    .where(
        requests.c.request == bindparam("request_is"),
        IS_PENDING,
        requests.c.level == bindparam("level_was"),
        requests.c.reminders == bindparam("reminders_were"),
        func.coalesce(requests.c.round, 1) == bindparam("round_was"),
        func.coalesce(requests.c.acknowledged_until, 0) == bindparam("acknowledged_was"),
    )
    .values(
        level=bindparam("new_level"),
        level_entered_at=bindparam("entered_at"),
        reminders=bindparam("new_reminders"),
        round=bindparam("new_round"),
        counts_from=bindparam("new_counts_from"),
        acknowledged_by=bindparam("who"),
        acknowledged_at=bindparam("since"),
        acknowledged_until=bindparam("until"),
        role=bindparam("new_role"),
        asked=bindparam("now_asked"),
        next_at=bindparam("next"),
    )
)
_SET_NEXT = Statement(
    update(requests)
    .where(requests.c.request == bindparam("request_is"))
    .values(next_at=bindparam("next"))
)


def take_step(tx: Transaction, row: Row, step: Step, coverage: Coverage) -> None:
    """Take one step of a pending request."""
    match step.kind:
        case "timeout":
            decide(tx, row, state_at_deadline(row.timeout_outcome), by=DEADLINE, why=None)
        case "escalate":
            raise_level(tx, row, coverage, at=step.due_at, actor="plane", why=None)
        case "repeat":
            _repeat(tx, row, step, coverage)
        case "resume":
            _resume(tx, row, step, coverage)
        case "remind":
            _remind(tx, row, step, coverage)


def raise_level(
    tx: Transaction, row: Row, coverage: Coverage, *, at: int, actor: str, why: str | None
) -> bool:
    """Ask the next level that somebody holds from time ``at`` on; False if it moved just now.

    Whoever was on it is not waited for any more.
    """
    policy, position = policy_of(row), position_of(row)
    asking = ask(
        tx, coverage, policy, position.level + 1,
        before=row.role, excluded=excluded_of(row), groups=groups_of(row),
    )  # fmt: skip
    pause = 0 if position.acknowledged_until is None else max(at - row.acknowledged_at, 0)
    then = Position(asking.entry.level, at, 0, position.round, position.counts_from + pause, None)
    if not move(tx, row, then, asking=asking, coverage=coverage):
        return False
    text = asking.words(policy) + (f": {why}" if why else "")
    if actor != "plane":
        text = f"{actor} escalated: {text}"
    record(
        tx, row, "request.escalated", actor=actor, text=text, due_at=at,
        **asking.body(position.round),
    )  # fmt: skip
    asking.raise_alarm(tx, row, policy, position.round)
    return True


def set_timer(tx: Transaction, row: Row) -> None:
    """Set the one timer of an open request to its next step, or to its grant's end."""
    due_at = row.grant_expires_at if row.state == "approved" else next_step_of(row).due_at
    timers.schedule(tx, TIMER, row.request, due_at)
    _SET_NEXT.run(tx, request_is=row.request, next=due_at)


def move(
    tx: Transaction,
    row: Row,
    then: Position,
    *,
    asking: Asking | None = None,
    coverage: Coverage | None = None,
    acknowledged: tuple[str, int] | None = None,
) -> bool:
    """Put a pending request where it stands from now on, and its timer to what follows.

    `acknowledged` is who is on it and since when. False if it was moved or decided just now.
    """
    policy, was = policy_of(row), position_of(row)
    asked = json.loads(row.asked)
    role = row.role
    if asking is not None:
        assert coverage is not None
        role = asking.role
        levels = policy.levels[was.level if then.round == was.round else 0 : then.level]
        new = [one.role for one in levels if one.role and one.role not in asked]
        asked += dict.fromkeys(new)
        for one in new:
            remember(tx, coverage, one)
    step = next_step(policy, then, decide_by=row.decide_by)
    who, since = acknowledged or (None, None)
    moved = _MOVE.run(
        tx,
        request_is=row.request,
        level_was=was.level,
        reminders_were=was.reminders,
        round_was=was.round,
        acknowledged_was=was.acknowledged_until or 0,
        new_level=then.level,
        entered_at=then.entered_at,
        new_reminders=then.reminders,
        new_round=then.round,
        new_counts_from=then.counts_from,
        who=who,
        since=since,
        until=then.acknowledged_until,
        new_role=role,
        now_asked=json.dumps(asked),
        next=step.due_at,
    )
    if moved != 1:
        return False
    timers.schedule(tx, TIMER, row.request, step.due_at)
    return True


def _remind(tx: Transaction, row: Row, step: Step, coverage: Coverage) -> None:
    was = position_of(row)
    if not move(tx, row, replace(was, reminders=was.reminders + 1)):
        return
    held = available(tx, coverage, row.role, excluded_of(row))
    record(
        tx,
        row,
        "request.reminded",
        actor="plane",
        text=f"reminded {row.role}{in_brackets(held)}: to be decided by {utc_text(row.decide_by)}",
        due_at=step.due_at,
        **_routed(row, held),
    )


def _repeat(tx: Transaction, row: Row, step: Step, coverage: Coverage) -> None:
    policy, was = policy_of(row), position_of(row)
    first = policy.levels[0].role
    asking = ask(
        tx, coverage, policy, 1,
        before=first, excluded=excluded_of(row), groups=groups_of(row),
    )  # fmt: skip
    then = Position(asking.entry.level, step.due_at, 0, was.round + 1, step.due_at)
    if not move(tx, row, then, asking=asking, coverage=coverage):
        return
    record(
        tx,
        row,
        "request.repeated",
        actor="plane",
        text=f"round {then.round} of {policy.rounds}: {asking.words(policy)}",
        due_at=step.due_at,
        **asking.body(then.round),
    )
    asking.raise_alarm(tx, row, policy, then.round)


def _resume(tx: Transaction, row: Row, step: Step, coverage: Coverage) -> None:
    was = position_of(row)
    pause = step.due_at - row.acknowledged_at
    then = Position(
        was.level, step.due_at, 0, was.round, was.counts_from + pause, acknowledged_until=None
    )
    if not move(tx, row, then):
        return
    held = available(tx, coverage, row.role, excluded_of(row))
    name = row.acknowledged_by.removeprefix("person/")
    record(
        tx,
        row,
        "request.resumed",
        actor="plane",
        text=f"{name} was on it and has not decided: asks {row.role} again{in_brackets(held)}",
        due_at=step.due_at,
        **_routed(row, held),
    )


def _routed(row: Row, held: Holders) -> dict[str, Any]:
    return {
        "role": row.role,
        "people": named(held),
        "anyone": held.anyone,
        "level": row.level,
        "round": row.round or 1,
    }
