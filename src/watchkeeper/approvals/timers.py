"""What happens to a request by itself: reminders, escalation, the deadline, the grant's end."""

from __future__ import annotations

import json

from sqlalchemy import bindparam, update

from watchkeeper.approvals.deciding import DEADLINE, decide, lapse
from watchkeeper.approvals.rows import (
    IS_PENDING,
    TIMER,
    find,
    find_or_none,
    levels_of,
    next_step_of,
    record,
)
from watchkeeper.approvals.rules import state_at_deadline
from watchkeeper.approvals.tables import requests
from watchkeeper.core.clock import utc_text
from watchkeeper.oncall.model import Step
from watchkeeper.store import timers
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.timers import Handler
from watchkeeper.store.transaction import Transaction

_ADVANCE = Statement(
    update(requests)
    .where(
        requests.c.request == bindparam("request_is"),
        IS_PENDING,
        requests.c.level == bindparam("level_was"),
        requests.c.reminders == bindparam("reminders_were"),
    )
    .values(
        level=bindparam("new_level"),
        level_entered_at=bindparam("entered_at"),
        reminders=bindparam("new_reminders"),
        role=bindparam("new_role"),
        asked=bindparam("now_asked"),
    )
)
_SET_NEXT = Statement(
    update(requests)
    .where(requests.c.request == bindparam("request_is"))
    .values(next_at=bindparam("next"))
)


def on_due(tx: Transaction, ref: str, due_at: int) -> None:
    """Take the one step that is due for a request, and set the timer for the next.

    After downtime the next is overdue as well, and follows at once: each once, in order.
    """
    tx.silent("a timer that finds nothing due is only moved")
    row = find_or_none(tx, ref)
    if row is None:
        return
    if row.state == "approved" and not lapse(tx, row):
        timers.schedule(tx, TIMER, ref, row.grant_expires_at)
    elif row.state == "pending":
        step = next_step_of(row)
        if step.due_at <= tx.now:
            take_step(tx, row, step)
        else:
            set_timer(tx, row)


def catch_up(tx: Transaction, row: Row) -> Row:
    """Take every step that is due for a request by now; return its row as it is then."""
    while row.state == "pending" and (step := next_step_of(row)).due_at <= tx.now:
        take_step(tx, row, step)
        row = find(tx, row.request)
    if row.state == "approved" and lapse(tx, row):
        row = find(tx, row.request)
    return row


def take_step(tx: Transaction, row: Row, step: Step) -> None:
    """Take one step of a pending request."""
    if step.kind == "timeout":
        decide(tx, row, state_at_deadline(row.timeout_outcome), by=DEADLINE, why=None)
    elif step.kind == "escalate":
        raise_level(tx, row, at=step.due_at, actor="plane", why=None)
    else:
        _remind(tx, row, step)


def raise_level(tx: Transaction, row: Row, *, at: int, actor: str, why: str | None) -> bool:
    """Ask the next level from time ``at`` on; False if somebody else did just now."""
    levels = levels_of(row)
    level = row.level + 1
    role = levels[level - 1].role
    if not _advance(tx, row, level=level, entered_at=at, reminders=0):
        return False
    text = f"now asks {role} (level {level} of {len(levels)})" + (f": {why}" if why else "")
    if actor != "plane":
        text = f"{actor} escalated: {text}"
    record(tx, row, "request.escalated", actor=actor, text=text, role=role, level=level, due_at=at)
    set_timer(tx, find(tx, row.request))
    return True


def set_timer(tx: Transaction, row: Row) -> None:
    """Set the one timer of a pending request to its next step."""
    due_at = next_step_of(row).due_at
    timers.schedule(tx, TIMER, row.request, due_at)
    _SET_NEXT.run(tx, request_is=row.request, next=due_at)


def _remind(tx: Transaction, row: Row, step: Step) -> None:
    reminders = row.reminders + 1
    if _advance(tx, row, level=row.level, entered_at=row.level_entered_at, reminders=reminders):
        record(
            tx,
            row,
            "request.reminded",
            actor="plane",
            text=f"reminded {row.role}: to be decided by {utc_text(row.decide_by)}",
            role=row.role,
            level=row.level,
            due_at=step.due_at,
        )
        set_timer(tx, find(tx, row.request))


def _advance(tx: Transaction, row: Row, *, level: int, entered_at: int, reminders: int) -> bool:
    roles = [one.role for one in levels_of(row)]
    return (
        _ADVANCE.run(
            tx,
            request_is=row.request,
            level_was=row.level,
            reminders_were=row.reminders,
            new_level=level,
            entered_at=entered_at,
            new_reminders=reminders,
            new_role=roles[level - 1],
            now_asked=json.dumps(roles[:level]),
        )
        == 1
    )


HANDLERS: dict[str, Handler] = {TIMER: on_due}
"""What the sweeper runs for this room, by timer kind."""
