"""The moves from state to state, each a compare-and-set with its event and its timer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import bindparam, literal_column, update

from watchkeeper.approvals.model import RequestKind
from watchkeeper.approvals.rows import IS_PENDING, TIMER, record
from watchkeeper.approvals.standing.proposing import put_in_force
from watchkeeper.approvals.tables import requests
from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.store import timers
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.requests import RequestState

DEADLINE = "deadline"
"""Who decided when nobody did in time."""
VOIDED = "rule/approval"
"""Who revoked an approval that was not good enough any more."""

_THIS = requests.c.request == bindparam("request_is")
_DECIDE = Statement(
    update(requests)
    .where(_THIS, IS_PENDING)
    .values(
        state=bindparam("new_state"),
        decided_by=bindparam("who"),
        decided_at=bindparam("at"),
        decided_why=bindparam("why"),
        grant_expires_at=bindparam("grant_until"),
        next_at=bindparam("next"),
    )
)
_LAPSE = Statement(
    update(requests)
    .where(
        _THIS,
        requests.c.state == literal_column("'approved'"),
        requests.c.grant_expires_at <= bindparam("at"),
    )
    .values(state="lapsed", ended_at=bindparam("ended"), next_at=None)
)

Fulfil = Callable[[Transaction, Row], None]
"""Does what a request (its row) asks for, now that it was approved."""
_FULFIL: dict[RequestKind, Fulfil] = {"standing": put_in_force}

_EVENTS: dict[RequestState, tuple[str, str]] = {
    "approved": ("request.approved", "approved"),
    "denied": ("request.denied", "rejected"),
    "expired": ("request.expired", "expired"),
}


def fulfil_by(kind: RequestKind, fulfil: Fulfil) -> None:
    """Have the approval of every request of a kind do something in the unit that approves it.

    Such an approval is no grant: what it asks for is done then and there, by `fulfil`.
    """
    _FULFIL[kind] = fulfil


def decide(
    tx: Transaction,
    row: Row,
    state: RequestState,
    *,
    by: str,
    why: str | None,
    verb: str | None = None,
    **body: Any,
) -> bool:
    """Move a pending request to approved, denied or expired; False if it was decided before.

    An approval starts the grant's time; whatever else was due for the request is dropped.
    `verb` says it in other words than the state's own.
    """
    fulfil = _FULFIL.get(row.kind or "action") if state == "approved" else None
    until = None
    if state == "approved" and fulfil is None:
        until = tx.now + row.grant_seconds * MICROSECONDS
    moved = _DECIDE.run(
        tx,
        request_is=row.request,
        new_state=state,
        who=by,
        at=tx.now,
        why=why,
        grant_until=until,
        next=until,
    )
    if not moved:
        return False
    type_, usual = _EVENTS[state]
    if by == DEADLINE:
        text = f"nobody decided by {utc_text(row.decide_by)}: {usual} as declared"
    else:
        text = f"{verb or usual} by {by}" + (f": {why}" if why else "")
    if until is None:
        timers.cancel(tx, TIMER, row.request)
    else:
        text += f"; to be used once until {utc_text(until)}"
        timers.schedule(tx, TIMER, row.request, until)
        body["grant_expires_at"] = until
    record(tx, row, type_, actor=by, text=text, by=by, **body)
    if fulfil is not None:
        fulfil(tx, row)
    return True


def lapse(tx: Transaction, row: Row) -> bool:
    """End an approval that was not used in time; False if it was used or is still good."""
    if not _LAPSE.run(tx, request_is=row.request, at=tx.now, ended=tx.now):
        return False
    timers.cancel(tx, TIMER, row.request)
    text = f"the approval by {row.decided_by} lapsed: it was not used in {row.grant_seconds} s"
    record(tx, row, "request.lapsed", actor="plane", text=text)
    return True
