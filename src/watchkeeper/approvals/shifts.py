"""Shifts that begin and end while requests wait: who came is told, and that nobody is left."""

from __future__ import annotations

import json
from functools import partial

from sqlalchemy import bindparam, delete, literal_column, select, update

from watchkeeper.approvals.coverage import (
    MOST_NAMED,
    TIMER,
    Coverage,
    alarm,
    available,
    lacking,
    next_look,
)
from watchkeeper.approvals.people import person_key
from watchkeeper.approvals.rows import (
    IS_PENDING,
    excluded_of,
    find,
    groups_of,
    policy_of,
    record,
)
from watchkeeper.approvals.tables import requests, told
from watchkeeper.core.clock import utc_text
from watchkeeper.store import timers
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction

MOST_TOLD = 50
"""So many requests, the first due, have an event of a change of shift; it says how many wait."""
_MOST_COUNTED = 1000

_TOLD = Statement(select(told).order_by(told.c.role))
_CHANGE = Statement(
    update(told).where(told.c.role == bindparam("role_is")).values(people=bindparam("now_people"))
)
_FORGET = Statement(delete(told))
_ANY = Statement(select(literal_column("1")).where(IS_PENDING).limit(1))


def look(tx: Transaction, coverage: Coverage) -> None:
    """Tell whoever came on call since of what waits for them; raise an alarm where nobody did."""
    tx.silent("that nobody else is on call is no event")
    if _ANY.scalar(tx) is None:
        _FORGET.run(tx)
        return
    for row in _TOLD.all(tx):
        people = sorted(coverage.holders(tx, row.role, tx.now).people)
        before = json.loads(row.people)
        if people == before:
            continue
        _CHANGE.run(tx, role_is=row.role, now_people=json.dumps(people))
        waiting = _waiting(tx, row.role)
        new = [one for one in people if one not in before]
        for request in waiting[:MOST_TOLD]:
            if new:
                _tell(tx, find(tx, request), row.role, new, len(waiting))
            else:
                _check(tx, find(tx, request), row.role, coverage)
    timers.schedule(tx, TIMER, "all", next_look(tx, coverage))


def _tell(tx: Transaction, row: Row, role: str, new: list[str], waiting: int) -> None:
    excluded = excluded_of(row)
    people = [one for one in new if person_key(one) not in excluded][:MOST_NAMED]
    if not people:
        return
    others = f", with {waiting - 1} others" if waiting > MOST_TOLD else ""
    record(
        tx,
        row,
        "request.rerouted",
        actor="plane",
        text=f"{', '.join(people)} came on call for {role}: asked as well{others}, to be decided "
        f"by {utc_text(row.decide_by)}",
        role=role,
        people=people,
        level=row.level,
        round=row.round or 1,
        waiting=waiting,
    )


def _check(tx: Transaction, row: Row, left: str, coverage: Coverage) -> None:
    """Somebody went off call: raise the alarm if nobody, or too few, are left."""
    policy = policy_of(row)
    held = partial(available, tx, coverage, excluded=excluded_of(row))
    if roles := lacking(policy.levels, groups_of(row), held):
        anybody = any(held(one.role) for one in policy.levels if one.role)
        alarm(
            tx, row, policy, roles,
            anybody=anybody, level=row.level, round=row.round or 1, left=left,
        )  # fmt: skip


def _waiting(tx: Transaction, role: str) -> list[str]:
    """Return the pending requests that ask a role, the first due first; at most 1,000."""
    query = (
        select(requests.c.request)
        .where(IS_PENDING, requests.c.asked.contains(json.dumps(role), autoescape=True))
        .order_by(requests.c.decide_by, requests.c.request)
        .limit(_MOST_COUNTED)
    )
    return list(tx.connection.execute(query).scalars())
