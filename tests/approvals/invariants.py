"""What must hold of requests whatever happened to them: read back from tables and ledger."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import delete, select

from watchkeeper.approvals.rows import TIMER, groups_of
from watchkeeper.approvals.tables import delegations, requests, views, votes
from watchkeeper.store.journal import events
from watchkeeper.store.timers import timers
from watchkeeper.store.transaction import Transaction

ENDING = {
    "request.denied": "denied",
    "request.expired": "expired",
    "request.revoked": "revoked",
    "request.cancelled": "cancelled",
    "request.superseded": "superseded",
    "request.lapsed": "lapsed",
    "request.succeeded": "succeeded",
    "request.failed": "failed",
    "request.unknown": "unknown",
}
MOVING = {**ENDING, "request.approved": "approved", "grant.redeemed": "redeemed"}


def clear(tx: Transaction) -> None:
    """Empty this room's tables; the ledger goes on."""
    tx.silent("a test starts over")
    for table in (requests, votes, views, delegations, timers):
        tx.connection.execute(delete(table))


def everything(
    tx: Transaction, after: int
) -> tuple[list[Any], list[Any], list[Any], dict[str, list[tuple[str, int | None]]]]:
    """All requests, timers and votes, and what the ledger told of each request."""
    due = select(timers.c.ref, timers.c.due_at).where(timers.c.kind == TIMER)
    told: dict[str, list[tuple[str, int | None]]] = {}
    query = select(events).where(events.c.sequence > after, events.c.request.is_not(None))
    for row in tx.connection.execute(query.order_by(events.c.sequence)):
        told.setdefault(row.request, []).append((row.type, json.loads(row.body).get("level")))
    run = tx.connection.execute
    return list(run(select(requests))), list(run(due)), list(run(select(votes))), told


def check_timers(rows: list[Any], due: list[Any]) -> None:
    """Each pending request, and each unused grant, has exactly one timer; the others none."""
    waiting = {row.request: row.next_at for row in rows if row.state in ("pending", "approved")}
    assert len(due) == len(waiting)
    assert dict(due) == waiting


def check_ledger(rows: list[Any], told: dict[str, list[tuple[str, int | None]]]) -> None:
    """A9, A10: a request's events lead to its state; an end is told once, nothing follows."""
    assert set(told) == {row.request for row in rows}
    for row in rows:
        moves = [MOVING[kind] for kind, _ in told[row.request] if kind in MOVING]
        assert row.state == (moves[-1] if moves else "pending")
        assert not any(kind in ENDING for kind, _ in told[row.request][:-1])
        levels = [level for kind, level in told[row.request] if kind == "request.escalated"]
        assert levels == list(range(2, row.level + 1))


def check_execution(rows: list[Any], executed: list[tuple[str, str]]) -> None:
    """A1, A2: what ran had exactly one redeemed grant of its digest, in time."""
    assert sorted((row.run, row.digest) for row in rows if row.redeemed_by) == sorted(executed)
    for row in rows:
        if row.redeemed_by:
            assert row.state in ("redeemed", "succeeded", "failed", "unknown")
            assert row.redeemed_at < row.grant_expires_at


def check_votes(rows: list[Any], cast: list[Any]) -> None:
    """Votes are on the digest, by one name each; a no ends it, and only a full quorum approves."""
    for row in rows:
        mine = [vote for vote in cast if vote.request == row.request]
        assert len({vote.person_key for vote in mine}) == len(mine)
        assert all(vote.digest == row.digest for vote in mine)
        assert (row.state == "denied") == any(vote.verdict != "approve" for vote in mine)
        taken_back = row.state in ("revoked", "cancelled", "superseded")
        if row.grant_expires_at is not None and row.decided_by != "deadline" and not taken_back:
            agreed = sum(vote.verdict == "approve" for vote in mine)
            assert agreed >= sum(count for _, count in groups_of(row))
