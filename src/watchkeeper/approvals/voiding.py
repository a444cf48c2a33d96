"""Taking back what is not good enough any more: approvals and requests that fall short."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import bindparam, update

from watchkeeper.approvals.deciding import DEADLINE, VOIDED
from watchkeeper.approvals.delegations import voter_of
from watchkeeper.approvals.people import People
from watchkeeper.approvals.rows import (
    IS_OPEN,
    TIMER,
    excluded_of,
    find,
    groups_of,
    policy_of,
    record,
)
from watchkeeper.approvals.rules import Cast, tally, why_excluded
from watchkeeper.approvals.tables import requests
from watchkeeper.approvals.voting import count_votes
from watchkeeper.store import timers
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction

_VOID = Statement(
    update(requests)
    .where(requests.c.request == bindparam("request_is"), IS_OPEN)
    .values(
        state="revoked",
        decided_by=VOIDED,
        decided_at=bindparam("at"),
        decided_why=bindparam("why"),
        next_at=None,
    )
)


def void(tx: Transaction, request: str, why: str) -> bool:
    """Revoke a request that is open still; False if it is not. The same call may be asked again."""
    row = find(tx, request)
    if not _VOID.run(tx, request_is=request, at=tx.now, why=why):
        return False
    timers.cancel(tx, TIMER, request)
    what = "the request" if row.state == "pending" else "the unused approval"
    text = f"{what} was revoked: {why}"
    record(tx, row, "request.revoked", actor="plane", text=text, was=row.state, why=why)
    return True


def why_spoiled(tx: Transaction, row: Row, cast: Sequence[Row], people: People) -> str | None:
    """Say why the votes that approved a request count no longer, or return None.

    Somebody who approved is by now who it is for, under another name or by delegation; or they
    are locked, or gone, or off the role they approved in. That a shift ended changes nothing.
    """
    if row.decided_by == DEADLINE:
        return None
    approved = [] if row.break_glass else [vote for vote in cast if vote.verdict == "approve"]
    persons = [vote.person for vote in approved] or [row.decided_by]
    excluded = excluded_of(row)
    for person in [*persons, *(vote.acting_for for vote in approved if vote.acting_for)]:
        voter = voter_of(tx, person, frozenset(), people)
        if people.locked(person) is not None:
            return f"{voter.name} approved it, and is locked now"
        if (why := why_excluded(excluded, voter)) is not None:
            return f"{voter.name} approved it, and as is known now {why}"
    if not approved:
        return None
    then = count_votes(row, approved, people)
    now = [
        replace(one, held=_held_still(vote, one, people))
        for vote, one in zip(approved, then, strict=True)
    ]
    levels, groups = policy_of(row).levels, groups_of(row)
    if tally(now, levels, groups) == "approved":
        return None
    gone = [
        vote.person.removeprefix("person/")
        for vote, was, left in zip(approved, then, now, strict=True)
        if was.held != left.held
    ]
    if gone:
        return f"{', '.join(gone)} approved it, and is gone or off the role since"
    return "fewer people approved it than names did"


def _held_still(vote: Row, cast: Cast, people: People) -> frozenset[str]:
    """Return the roles of a vote that still are those of whose vote it is."""
    if vote.roles is None:
        return frozenset(cast.held)
    known = json.loads(vote.roles)
    if not all(people.documented(name) for name in known["documents"]):
        return frozenset()
    whose = vote.acting_for or vote.person
    return frozenset(
        role
        for role in cast.held
        if role not in known["backed"] or people.belongs(whose, role, vote.at)
    )
