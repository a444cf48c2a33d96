"""Voting, escalating by hand, looking; with opening and the grants, the whole room."""

from __future__ import annotations

import json
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select, update

from watchkeeper.approvals.cancelling import cancel, is_cancelled, is_pending
from watchkeeper.approvals.deciding import decide
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
from watchkeeper.approvals.rows import IS_PENDING, ballot_of, find, record
from watchkeeper.approvals.rules import (
    check_level,
    person_key,
    tally,
    why_not,
)
from watchkeeper.approvals.signing import check_signed
from watchkeeper.approvals.tables import requests, views, votes
from watchkeeper.approvals.timers import raise_level
from watchkeeper.core.errors import Conflict, Forbidden
from watchkeeper.oncall.rules import covers
from watchkeeper.store.statement import Statement, insert
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.requests import Change, RequestState, Verdict

__all__ = [
    "Asked",
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
    "is_cancelled",
    "is_pending",
    "open_request",
    "record_outcome",
    "redeem",
    "revoke",
    "view",
]

_ADD_VOTE = Statement(votes.insert())
_VOTES = Statement(
    select(votes.c.person_key, votes.c.person, votes.c.verdict)
    .where(votes.c.request == bindparam("request_is"))
    .order_by(votes.c.at)
)
_COUNT_APPROVALS = Statement(
    update(requests)
    .where(requests.c.request == bindparam("request_is"))
    .values(approvals=bindparam("count"))
)
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


def cast_vote(
    tx: Transaction,
    request: str,
    *,
    person: str,
    roles: Set[str],
    verdict: Verdict,
    digest: str,
    reason: str | None = None,
    view_seconds: float | None = None,
    key: str | None = None,
    signature: str | None = None,
) -> RequestState:
    """Cast a person's vote and return the state that the request is in then.

    `roles` are those the person holds now, `digest` is of what was on their screen, `key` the
    fingerprint of the key whose `signature` over this vote was verified, if it has one. One
    rejection denies; approval takes the quorum of distinct people. Raises `NotFound`;
    `Conflict` with code `already_decided`, `expired`, `already_voted` or `stale_digest`;
    `Forbidden` with code `separation_of_duties`, `role_missing`, `not_asked_yet` or
    `signature_required`.
    """
    row = find(tx, request)
    earlier = _VOTES.all(tx, request_is=request)
    key = person_key(person)
    ballot = ballot_of(row)
    voted = any(vote.person_key == key for vote in earlier)
    barrier = why_not(ballot, person, roles, voted=voted, now=tx.now)
    if barrier is not None:
        conflict = barrier.code in ("already_decided", "expired", "already_voted")
        kind = Conflict if conflict else Forbidden
        raise kind(
            barrier.text, code=barrier.code, remedy=barrier.remedy, rule=f"approval/{barrier.code}"
        )
    if digest != row.digest:
        raise Conflict(
            "what was on your screen is not what this request asks",
            code="stale_digest",
            rule="approval/digest",
            remedy="open the request again and read it before you decide",
        )
    check_signed(row, key)
    role = next(role for role in ballot.asked if covers(roles, role))
    _ADD_VOTE.run(
        tx,
        request=request,
        person_key=key,
        person=person,
        role=role,
        verdict=verdict,
        reason=reason,
        digest=digest,
        view_ms=None if view_seconds is None else round(view_seconds * 1000),
        at=tx.now,
        acting_for=None,
        roles=None,
        signature=signature,
        key=key,
        channel=None,
    )
    verb = "approves" if verdict == "approve" else "rejects"
    text = f"{person} {verb} as {role}" + (f": {reason}" if reason else "")
    record(
        tx,
        row,
        "vote.cast",
        actor=person,
        text=text,
        verdict=verdict,
        role=role,
        reason=reason,
        level=row.level,
    )
    verdicts: list[Verdict] = [*(vote.verdict for vote in earlier), verdict]
    if verdict == "approve":
        _COUNT_APPROVALS.run(tx, request_is=request, count=verdicts.count("approve"))
    state = tally(verdicts, row.quorum)
    if state is None:
        return "pending"
    by = person if state == "denied" else ", ".join([*(v.person for v in earlier), person])
    if not decide(tx, row, state, by=by, why=reason):
        raise Conflict("it was decided just now", code="already_decided", remedy="look again")
    return state


def escalate(
    tx: Transaction, request: str, *, level: int, person: str, reason: str | None = None
) -> int:
    """Ask the next level now; return the level that is asked then.

    `level` is the one the person saw, so that a stale key skips none. Whoever was asked
    before stays able to vote. Raises `NotFound`, or `Conflict` with code
    `already_decided`, `expired`, `already_escalated` or `no_next_level`.
    """
    row = find(tx, request)
    ballot = ballot_of(row)
    barrier = why_not(ballot, "", set(ballot.asked), voted=False, now=tx.now)
    if barrier is not None:
        raise Conflict(barrier.text, code=barrier.code, remedy=barrier.remedy)
    check_level(level, level=row.level, levels=ballot.levels, asked_at=row.level_entered_at)
    if not raise_level(tx, row, at=tx.now, actor=person, why=reason):
        raise Conflict("it was escalated just now", code="already_escalated", remedy="look again")
    return int(row.level) + 1


def attach_preview(
    tx: Transaction,
    request: str,
    changes: Sequence[Change],
) -> bool:
    """Show approvers what would change, as the plane measured it since; the digest stays.

    False if the request is decided already.
    """
    row = find(tx, request)
    text = json.dumps([change.model_dump() for change in changes])
    if not _SET_CHANGES.run(tx, request_is=request, new_changes=text):
        tx.silent("it is decided; nothing was attached")
        return False
    record(
        tx,
        row,
        "request.previewed",
        actor="plane",
        text=f"what it would change was measured: {len(changes)} fields",
        changes=text[:4000],
    )
    return True


def attach_blast_radius(tx: Transaction, request: str, words: str) -> bool:
    """Show approvers what it would reach, as the plane measured it since; the digest stays.

    False if the request is decided already.
    """
    row = find(tx, request)
    if not _SET_BLAST.run(tx, request_is=request, radius=words):
        tx.silent("it is decided; nothing was attached")
        return False
    record(
        tx,
        row,
        "request.previewed",
        actor="plane",
        text=f"what it would reach was measured: {words}",
    )
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
