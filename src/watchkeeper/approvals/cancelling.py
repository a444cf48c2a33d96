"""An agent takes back what it asked: while nobody has decided, or before it used the approval."""

from __future__ import annotations

from sqlalchemy import bindparam, literal_column, select, update

from watchkeeper.approvals.rows import IS_OPEN, TIMER, find, record
from watchkeeper.approvals.superseding import last_of
from watchkeeper.approvals.tables import requests
from watchkeeper.store import timers
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.requests import RequestState

_CANCEL = Statement(
    update(requests)
    .where(requests.c.request == bindparam("request_is"), IS_OPEN)
    .values(
        state=literal_column("'cancelled'"),
        decided_by=bindparam("who"),
        decided_at=bindparam("at"),
        next_at=None,
    )
)
_STATE = Statement(select(requests.c.state).where(requests.c.request == bindparam("request_is")))


TAKEN_BACK = "the agent took it back; nothing was done"


def cancel(tx: Transaction, request: str, *, by: str, text: str = TAKEN_BACK) -> bool:
    """End a request that its agent wants no more; False if it is not open any more.

    Where another stands for it, that one is meant.
    """
    request = last_of(tx, request).request
    if not _CANCEL.run(tx, request_is=request, who=by, at=tx.now):
        return False
    timers.cancel(tx, TIMER, request)
    row = find(tx, request)
    record(tx, row, "request.cancelled", actor=by, text=text)
    return True


def is_pending(tx: Transaction, request: str) -> bool:
    """Whether a request still waits for a person."""
    return state_of(tx, request) == "pending"


def is_approved(tx: Transaction, request: str) -> bool:
    """Whether a request was approved and the approval is neither used nor over."""
    return state_of(tx, request) == "approved"


def is_cancelled(tx: Transaction, request: str) -> bool:
    """Whether its agent took a request back."""
    return state_of(tx, request) == "cancelled"


def state_of(tx: Transaction, request: str) -> RequestState | None:
    """Return the state of a request, or of what stands for it in the end; None: there is none."""
    state: RequestState | None = _STATE.scalar(tx, request_is=request)
    return last_of(tx, request).state if state == "superseded" else state
