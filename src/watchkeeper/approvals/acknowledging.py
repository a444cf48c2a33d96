""" "I am on it": escalation and reminders wait for somebody who was asked."""

from __future__ import annotations

import json
from collections.abc import Set
from dataclasses import replace

from sqlalchemy import bindparam, select

from watchkeeper.approvals.coverage import ANYBODY, Coverage
from watchkeeper.approvals.delegations import voters_of
from watchkeeper.approvals.escalation import move
from watchkeeper.approvals.people import STRANGERS, People, person_key
from watchkeeper.approvals.rows import ballot_of, find, policy_of, position_of, record
from watchkeeper.approvals.rules import why_not
from watchkeeper.approvals.timeline import REPEATED
from watchkeeper.approvals.timers import catch_up
from watchkeeper.approvals.voting import has_voted, read_votes, refusal
from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.core.errors import Conflict
from watchkeeper.store.journal import events
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction

_MOST_LOOKED_AT = 500
_ROUTED = Statement(
    select(events.c.body)
    .where(
        events.c.request == bindparam("request_is"),
        # an agent that asks again and again hides nobody who was asked
        *(events.c.type != name for name in sorted(REPEATED)),
    )
    .order_by(events.c.sequence)
    .limit(bindparam("most"))
)


def acknowledge(
    tx: Transaction,
    request: str,
    *,
    person: str,
    roles: Set[str],
    seconds: int | None = None,
    coverage: Coverage = ANYBODY,
    people: People = STRANGERS,
) -> int:
    """Have escalation and reminders wait for a person; return until when (microseconds).

    `seconds` absent: as long as the request's policy says, and half of the time left at most;
    never past the deadline, and never shorter than somebody else is waited for already. Whoever
    may decide may say so, and whoever was asked and is no longer on call. Raises `NotFound`;
    `Conflict` with code `already_decided`, `expired` or `already_voted`; `Forbidden` with code
    `separation_of_duties`, `role_missing` or `not_asked_yet`.
    """
    row = catch_up(tx, find(tx, request), coverage)
    cast, ballot = read_votes(tx, request), ballot_of(row)
    barriers = [
        why_not(ballot, way, voted=has_voted(cast, way, people), now=tx.now)
        for way in voters_of(tx, person, roles, people)
    ]
    barrier = None if None in barriers else barriers[0]
    on_call = barrier is None
    if barrier is not None and not (
        barrier.code in ("role_missing", "not_asked_yet")
        and _was_asked(tx, request, people.names(person))
    ):
        raise refusal(barrier)
    was = position_of(row)
    # so that others are asked while there is time, whatever the policy's usual pause
    half = max(1, (row.decide_by - tx.now) // (2 * MICROSECONDS))
    usual = min(policy_of(row).acknowledge_seconds, half)
    asked_for = usual if seconds is None else seconds
    until = min(tx.now + asked_for * MICROSECONDS, row.decide_by)
    until = int(max(until, was.acknowledged_until or 0))
    since = tx.now if was.acknowledged_until is None else row.acknowledged_at
    then = replace(was, acknowledged_until=until)
    if not move(tx, row, then, acknowledged=(person, since)):
        raise Conflict("it was decided just now", code="already_decided", remedy="look again")
    name = person.removeprefix("person/")
    text = f"{name} is on it until {utc_text(until)}; nobody else is asked till then"
    record(
        tx,
        row,
        "request.acknowledged",
        actor=person,
        text=text if on_call else f"{text} ({name} was asked and is not on call any more)",
        until=until,
        on_call=on_call,
        role=row.role,
        level=row.level,
        round=was.round,
    )
    return until


def _was_asked(tx: Transaction, request: str, names: frozenset[str]) -> bool:
    """Whether an event of the request says that somebody of these names was asked."""
    for row in _ROUTED.all(tx, request_is=request, most=_MOST_LOOKED_AT):
        asked = json.loads(row.body).get("people")
        if isinstance(asked, list) and not names.isdisjoint(person_key(str(p)) for p in asked):
            return True
    return False
