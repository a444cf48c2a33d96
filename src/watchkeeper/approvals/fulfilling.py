"""Approvals that are no grants: what they ask for is done in the unit of work that approves."""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import bindparam, literal_column, update

from watchkeeper.approvals.rows import TIMER, record
from watchkeeper.approvals.tables import requests
from watchkeeper.store import timers
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction

_END = Statement(
    update(requests)
    .where(
        requests.c.request == bindparam("request_is"),
        requests.c.state == literal_column("'approved'"),
    )
    .values(state=bindparam("to_state"), ended_at=bindparam("ended"), next_at=None)
)
_DONE = Statement(
    update(requests)
    .where(
        requests.c.request == bindparam("request_is"),
        requests.c.state == literal_column("'approved'"),
    )
    .values(
        state=literal_column("'succeeded'"),
        redeemed_by=bindparam("by_what"),
        redeemed_at=bindparam("at"),
        ended_at=bindparam("ended"),
        next_at=None,
    )
)


def done(tx: Transaction, row: Row, *, by: str, text: str, **body: Any) -> None:
    """End a request that was approved (its row) as done; nothing is left to be redeemed.

    `by` is what used the approval, `text` says what is so now.
    """
    timers.cancel(tx, TIMER, row.request)
    _DONE.run(tx, request_is=row.request, by_what=by, at=tx.now, ended=tx.now)
    used = f"the approval was used, once: {text}"
    record(tx, row, "grant.redeemed", actor="plane", text=used, **body)
    record(tx, row, "request.succeeded", actor="plane", text="done as approved")


def came_to_nothing(
    tx: Transaction, row: Row, state: Literal["cancelled", "failed"], *, text: str, **body: Any
) -> bool:
    """End a request that was approved (its row), where what it asks for cannot be done.

    cancelled: there is nothing left to do; failed: it was tried. False if it has ended already.
    """
    if not _END.run(tx, request_is=row.request, to_state=state, ended=tx.now):
        return False
    timers.cancel(tx, TIMER, row.request)
    record(tx, row, f"request.{state}", actor="plane", text=text, **body)
    return True
