"""Voting, escalating by hand, looking; with opening and the grants, the whole room."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, update

from watchkeeper.approvals.acknowledging import acknowledge
from watchkeeper.approvals.cancelling import cancel, is_approved, is_cancelled, is_pending
from watchkeeper.approvals.coverage import ANYBODY, Coverage
from watchkeeper.approvals.escalation import raise_level
from watchkeeper.approvals.grants import (
    count_open,
    count_waiting,
    find_grant,
    find_standing,
    record_outcome,
    redeem,
    revoke,
)
from watchkeeper.approvals.opening import open_request
from watchkeeper.approvals.rows import IS_PENDING, ballot_of, find, position_of, record
from watchkeeper.approvals.rules import check_level, why_over
from watchkeeper.approvals.tables import requests, views
from watchkeeper.approvals.voting import cast_vote
from watchkeeper.core.errors import Conflict
from watchkeeper.store.statement import Statement, insert
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.requests import Change

__all__ = [
    "Asked",
    "acknowledge",
    "asked",
    "attach_blast_radius",
    "attach_preview",
    "cancel",
    "cast_vote",
    "count_open",
    "count_waiting",
    "escalate",
    "find_grant",
    "find_standing",
    "is_approved",
    "is_cancelled",
    "is_pending",
    "open_request",
    "record_outcome",
    "redeem",
    "revoke",
    "view",
]

_SET_CHANGES = Statement(
    update(requests)
    .where(requests.c.request == bindparam("request_is"), IS_PENDING)
    .values(changes=bindparam("new_changes"))
)
_SET_BLAST = Statement(
    update(requests)
    .where(requests.c.request == bindparam("request_is"), IS_PENDING)
    .values(blast_radius=bindparam("radius"), blast_source="measured")
)
_ADD_VIEW = Statement(
    insert(views)
    .values(request=bindparam("request"), person=bindparam("person"), at=bindparam("at"))
    .on_conflict_do_nothing(index_elements=["request", "person"])
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What an open request asks for, as a preview needs it."""

    request: str
    agent: str
    run: str
    tool: str
    arguments: dict[str, Any]


def escalate(
    tx: Transaction,
    request: str,
    *,
    level: int,
    person: str,
    round: int = 1,
    reason: str | None = None,
    coverage: Coverage = ANYBODY,
) -> int:
    """Ask the next level now; return the level that is asked then.

    `level` and `round` are those the person saw, so that a stale key skips none. Whoever was
    asked before stays able to vote, and nobody's "I am on it" holds it up. Raises `NotFound`,
    or `Conflict` with code `already_decided`, `expired`, `already_escalated` or
    `no_next_level`.
    """
    row = find(tx, request)
    ballot = ballot_of(row)
    barrier = why_over(ballot, tx.now)
    if barrier is not None:
        raise Conflict(barrier.text, code=barrier.code, remedy=barrier.remedy)
    check_level((round, level), position_of(row), levels=ballot.levels)
    if not raise_level(tx, row, coverage, at=tx.now, actor=person, why=reason):
        raise Conflict("it was escalated just now", code="already_escalated", remedy="look again")
    return int(find(tx, request).level)


def attach_preview(
    tx: Transaction,
    request: str,
    changes: Sequence[Change],
) -> bool:
    """Show approvers what would change, as the plane measured it since; the digest stays.

    The ledger says which fields, not what is in them. False if the request is decided already.
    """
    text = json.dumps([change.model_dump() for change in changes])
    return _attach(
        tx,
        request,
        _SET_CHANGES.run(tx, request_is=request, new_changes=text),
        f"what it would change was measured: {len(changes)} fields",
        fields=[change.field[:100] for change in changes[:50]],
    )


def attach_blast_radius(tx: Transaction, request: str, words: str, told: str | None = None) -> bool:
    """Show approvers what it would reach, as the plane measured it since; the digest stays.

    `told` is what the ledger says of it, where it may not say all. False if the request is
    decided already.
    """
    attached = _SET_BLAST.run(tx, request_is=request, radius=words)
    said = f"what it would reach was measured: {told or words}"
    return _attach(tx, request, attached, said)


def _attach(tx: Transaction, request: str, attached: int, text: str, **more: Any) -> bool:
    """Record what was attached to a request; `attached`: how many rows took it."""
    row = find(tx, request)
    if not attached:
        tx.silent("it is decided; nothing was attached")
        return False
    record(tx, row, "request.previewed", actor="plane", text=text, **more)
    return True


def asked(tx: Transaction, request: str) -> Asked:
    """Return what a request asks for; raise `NotFound` if there is none."""
    row = find(tx, request)
    return Asked(row.request, row.agent, row.run, row.tool, json.loads(row.arguments))


def view(tx: Transaction, request: str, person: str) -> bool:
    """Record that a person looked at a request; once each. Whether it was the first time."""
    row = find(tx, request)
    if not _ADD_VIEW.run(tx, request=request, person=person, at=tx.now):
        return False
    record(tx, row, "request.viewed", actor=person, text=f"{person} looked at it")
    return True
