"""Whether the caller of a held action still waits: approved or not, nothing runs without one."""

from __future__ import annotations

from sqlalchemy import bindparam, func, literal_column, update

from watchkeeper.approvals.rows import IS_OPEN, IS_PENDING, find, record
from watchkeeper.approvals.tables import requests
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction

_WENT = Statement(
    update(requests)
    .where(
        requests.c.request == bindparam("request_is"),
        IS_PENDING,
        func.coalesce(requests.c.caller_gone, 0) == literal_column("0"),
    )
    .values(caller_gone=1)
)
_CAME = Statement(
    update(requests)
    .where(
        requests.c.request == bindparam("request_is"),
        IS_OPEN,
        requests.c.caller_gone == literal_column("1"),
    )
    .values(caller_gone=0)
)


def caller_left(tx: Transaction, request: str) -> None:
    """Note that nobody waits for a pending request any more."""
    tx.silent("it is decided, or known already")
    if _WENT.run(tx, request_is=request):
        row = find(tx, request)
        text = "the caller hung up; nothing runs until it asks again"
        record(tx, row, "request.caller_gone", actor=f"agent/{row.agent}", text=text)


def caller_came(tx: Transaction, request: str) -> None:
    """Note that the caller of an open request asks again."""
    if _CAME.run(tx, request_is=request):
        row = find(tx, request)
        text = "the caller asks again"
        record(tx, row, "request.caller_back", actor=f"agent/{row.agent}", text=text)
