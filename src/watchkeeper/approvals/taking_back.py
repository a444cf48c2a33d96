"""A person takes back an approval that was not used yet."""

from __future__ import annotations

from collections.abc import Set

from sqlalchemy import bindparam, literal_column, select, update

from watchkeeper.approvals.people import STRANGERS, People
from watchkeeper.approvals.rows import TIMER, ballot_of, find, record
from watchkeeper.approvals.rules import decided_words
from watchkeeper.approvals.tables import requests, votes
from watchkeeper.core.errors import Conflict, Forbidden
from watchkeeper.oncall.rules import covers
from watchkeeper.store import timers
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction

_TAKE_BACK = Statement(
    update(requests)
    .where(
        requests.c.request == bindparam("request_is"),
        requests.c.state == literal_column("'approved'"),
    )
    .values(
        state="revoked",
        decided_by=bindparam("who"),
        decided_at=bindparam("at"),
        decided_why=bindparam("why"),
        next_at=None,
    )
)
_VOTERS = Statement(select(votes.c.person).where(votes.c.request == bindparam("request_is")))


def take_back(
    tx: Transaction,
    request: str,
    *,
    person: str,
    roles: Set[str],
    reason: str | None = None,
    people: People = STRANGERS,
) -> None:
    """Revoke an approval before it is used: whoever gave it, or is of a role that was asked.

    The same call may be asked again. Raises `NotFound`; `Conflict` with code `not_approved`,
    `already_used` once it is used or has ended, or `not_an_action`; `Forbidden` (`role_missing`).
    """
    row = find(tx, request)
    if row.kind == "standing":
        raise Conflict(
            "what was approved is a standing approval",
            code="not_an_action",
            rule="approval/take-back",
            remedy=f"end it: `watchkeeper standing end {row.standing}`",
        )
    if row.kind == "top_up" and row.state == "succeeded":
        raise Conflict(
            "the budget was topped up already",
            code="already_used",
            rule="approval/take-back",
            remedy="lower its cap: `watchkeeper budgets cap`",
        )
    ballot = ballot_of(row)
    names = people.names(person)
    gave = any(people.key(one.person) in names for one in _VOTERS.all(tx, request_is=request))
    if not gave and not any(covers(roles, role) for role in ballot.asked):
        asked = " or ".join(ballot.asked)
        raise Forbidden(
            f"only who approved it, or a member of {asked}, takes it back",
            code="role_missing",
            rule="approval/take-back",
            remedy=f"have a member of {asked} do it, or kill the run",
        )
    if not _TAKE_BACK.run(tx, request_is=request, who=person, at=tx.now, why=reason):
        pending = row.state == "pending"
        ended = f"{decided_words(ballot)}, {row.state} now"
        raise Conflict(
            "nobody has approved it yet" if pending else ended,
            code="not_approved" if pending else "already_used",
            rule="approval/take-back",
            remedy="reject it" if pending else "what ran is not undone by this; see its rollback",
        )
    timers.cancel(tx, TIMER, request)
    text = f"{person} took the approval back before it was used" + (f": {reason}" if reason else "")
    record(tx, row, "request.revoked", actor=person, text=text, was="approved", reason=reason)
