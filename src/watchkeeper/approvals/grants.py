"""Grants: found by digest, redeemed once, ended by time, outcome or revocation."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    delete,
    func,
    literal_column,
    select,
    update,
)

from watchkeeper.approvals.deciding import DEADLINE
from watchkeeper.approvals.model import Grant, Standing
from watchkeeper.approvals.people import STRANGERS, People
from watchkeeper.approvals.rows import IS_OPEN, TIMER, find, groups_of, record
from watchkeeper.approvals.rules import follows
from watchkeeper.approvals.superseding import last_of, read_narrowed
from watchkeeper.approvals.tables import requests, votes
from watchkeeper.approvals.voiding import why_spoiled
from watchkeeper.approvals.voting import read_votes
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.store import timers
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import OutcomeStatus

_AT_ONCE = 500

_THIS = requests.c.request == bindparam("request_is")
_IS_APPROVED = requests.c.state == literal_column("'approved'")
_GRANT = Statement(
    select(requests)
    .where(
        requests.c.run == bindparam("run_is"),
        requests.c.digest == bindparam("digest_is"),
        _IS_APPROVED,
        requests.c.grant_expires_at > bindparam("now"),
    )
    .order_by(requests.c.request)
    .limit(1)
)
_REDEEM = Statement(
    update(requests)
    .where(
        _THIS,
        _IS_APPROVED,
        requests.c.digest == bindparam("digest_is"),
        requests.c.grant_expires_at > bindparam("now"),
    )
    .values(
        state="redeemed",
        redeemed_by=bindparam("by_decision"),
        redeemed_at=bindparam("at"),
        caller_gone=0,
        next_at=None,
    )
)
_END = Statement(
    update(requests)
    .where(_THIS, requests.c.state == literal_column("'redeemed'"))
    .values(state=bindparam("new_state"), ended_at=bindparam("at"))
)
_NEWEST = Statement(
    select(
        requests.c.request,
        requests.c.state,
        requests.c.decided_by,
        requests.c.decided_at,
        requests.c.decided_why,
        requests.c.decide_by,
    )
    .where(requests.c.run == bindparam("run_is"), requests.c.digest == bindparam("digest_is"))
    .order_by(requests.c.request.desc())
    .limit(1)
)
_ASKS_CHANGES = Statement(
    select(votes.c.request).where(
        votes.c.request == bindparam("request_is"), votes.c.verdict == "changes"
    )
)
_WAITING = Statement(
    select(func.count()).where(
        requests.c.agent == bindparam("agent_is"),
        requests.c.state == "pending",
        # what people propose is none of the agent's doing
        func.coalesce(requests.c.kind, "action") != "standing",
    )
)
_LATELY = (
    select(requests.c.agent, requests.c.state, requests.c.kind)
    .where(requests.c.decided_at > bindparam("since"))
    .order_by(requests.c.decided_at.desc())
    .limit(1000)
    .subquery()
)
_TAKEN_BACK = Statement(
    select(func.count())
    .select_from(_LATELY)
    .where(
        _LATELY.c.agent == bindparam("agent_is"),
        _LATELY.c.state == "cancelled",
        func.coalesce(_LATELY.c.kind, "action") != "standing",
    )
)
_TAKEN_BACK_SECONDS = 60
_TAKEN_BACK_FREELY = 20


def find_grant(
    tx: Transaction, run: str, digest: str, now: int, people: People = STRANGERS
) -> Grant | None:
    """Return the unused, unexpired approval of exactly this action in this run, or None.

    The votes for it are looked at again, with what is known of people now.
    """
    row = _GRANT.first(tx, run_is=run, digest_is=digest, now=now)
    if row is None:
        return None
    cast = read_votes(tx, row.request)
    alone = bool(row.break_glass)
    voted = tuple(vote.person for vote in cast if vote.verdict == "approve")
    # votes that were too few decided nothing, whoever did in the end
    by = () if alone or row.decided_by == DEADLINE else voted
    return Grant(
        request=row.request,
        digest=row.digest,
        expires_at=row.grant_expires_at,
        roles=tuple(json.loads(row.asked)),
        by=by or (row.decided_by,),
        groups=groups_of(row),
        signed=all(vote.key for vote in cast if vote.verdict != "reject"),
        alone=alone,
        spoiled=why_spoiled(tx, row, cast, people),
    )


def find_standing(tx: Transaction, run: str, digest: str) -> Standing | None:
    """Return where the newest request for exactly this action in this run stands, or None.

    So that an action a person rejected is refused with that, and not asked again. Where an
    approver narrowed it, the request that stands for it is meant.
    """
    row = _NEWEST.first(tx, run_is=run, digest_is=digest)
    if row is None:
        return None
    narrowed = None
    if row.state == "superseded":
        last = last_of(tx, row.request)
        narrowed = read_narrowed(tx, last)
        row = row if narrowed is None else last
    return Standing(
        request=row.request,
        state=row.state,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        reason=row.decided_why,
        decide_by=row.decide_by,
        asks_changes=row.state == "denied" and asks_changes(tx, row.request),
        narrowed=narrowed,
    )


def asks_changes(tx: Transaction, request: str) -> bool:
    """Whether somebody refused a request with what would do instead."""
    return _ASKS_CHANGES.first(tx, request_is=request) is not None


def redeem(tx: Transaction, grant: Grant, decision: str, now: int) -> bool:
    """Use a grant for a decision; False if it was used, revoked or lapsed before."""
    used = _REDEEM.run(
        tx,
        request_is=grant.request,
        digest_is=grant.digest,
        now=now,
        by_decision=decision,
        at=now,
    )
    if not used:
        return False
    timers.cancel(tx, TIMER, grant.request)
    row = find(tx, grant.request)
    text = "the approval was used, once, for exactly what was approved"
    record(tx, row, "grant.redeemed", actor=f"agent/{row.agent}", text=text, decision=decision)
    return True


def record_outcome(tx: Transaction, request: str, status: OutcomeStatus) -> bool:
    """Record how the approved action ended; False if that is on record already."""
    if not _END.run(tx, request_is=request, new_state=status, at=tx.now):
        return False
    row = find(tx, request)
    text = {
        "succeeded": "done as approved",
        "failed": "was performed and failed",
        "unknown": "nobody knows how it ended: check the target",
    }[status]
    record(tx, row, f"request.{status}", actor=f"agent/{row.agent}", text=text)
    return True


def revoke(
    tx: Transaction,
    *,
    runs: Iterable[str] = (),
    tools: Collection[str] = (),
    request: str | None = None,
    lock: str,
    now: int,
) -> tuple[int, int]:
    """Revoke every pending request and unused grant of some runs or tools, or one of them.

    Returns how many of each. Nothing revoked comes back when the lock is lifted.
    """
    counts = {"pending": 0, "approved": 0}
    chosen = list(_conditions(runs, tools, request))
    for row in _open_rows(tx, chosen):
        assert follows(row.state, "revoked")
        counts[row.state] += 1
        what = "the request" if row.state == "pending" else "the unused approval"
        record(
            tx,
            row,
            "request.revoked",
            actor="plane",
            text=f"{what} was revoked by lock {lock}",
            lock=lock,
            was=row.state,
        )
    if any(counts.values()):
        for condition in chosen:
            _revoke_where(tx, condition, lock, now)
    return counts["pending"], counts["approved"]


def count_open(
    tx: Transaction,
    *,
    runs: Iterable[str] = (),
    tools: Collection[str] = (),
    request: str | None = None,
) -> int:
    """Count the pending requests and unused grants of some runs or tools, or that one."""
    query = select(func.count()).select_from(requests)
    found = 0
    for condition in _conditions(runs, tools, request):
        found += tx.connection.execute(query.where(condition)).scalar_one()
    return found


def count_waiting(tx: Transaction, agent: str) -> int:
    """Count the pending requests of an agent.

    Of those that it took back in the last minute all but twenty count too: asking and taking
    back in a loop would bury people as well.
    """
    since = tx.now - _TAKEN_BACK_SECONDS * MICROSECONDS
    taken_back = int(_TAKEN_BACK.scalar(tx, agent_is=agent, since=since))
    return int(_WAITING.scalar(tx, agent_is=agent)) + max(0, taken_back - _TAKEN_BACK_FREELY)


def _revoke_where(tx: Transaction, condition: ColumnElement[bool], lock: str, now: int) -> None:
    chosen = select(requests.c.request).where(condition)
    tx.connection.execute(
        delete(timers.timers).where(timers.timers.c.kind == TIMER, timers.timers.c.ref.in_(chosen))
    )
    tx.connection.execute(
        update(requests)
        .where(condition)
        .values(state="revoked", decided_by=f"lock/{lock}", decided_at=now, next_at=None)
    )


def _open_rows(tx: Transaction, chosen: Iterable[ColumnElement[bool]]) -> Iterator[Row]:
    columns = select(
        requests.c.request,
        requests.c.state,
        requests.c.agent,
        requests.c.run,
        requests.c.tool,
        requests.c.digest,
        requests.c.on_behalf_of,
    )
    for condition in chosen:
        yield from tx.connection.execute(columns.where(condition).order_by(requests.c.request))


def _conditions(
    runs: Iterable[str], tools: Collection[str], request: str | None
) -> Iterator[ColumnElement[bool]]:
    """Yield conditions that select disjoint sets of open requests."""
    if request is not None:
        yield and_(IS_OPEN, requests.c.request == request)
        return
    names = list(runs)
    for start in range(0, len(names), _AT_ONCE):
        yield and_(IS_OPEN, requests.c.run.in_(names[start : start + _AT_ONCE]))
    if tools:
        yield and_(IS_OPEN, requests.c.tool.in_(sorted(tools)), requests.c.run.not_in(names))
