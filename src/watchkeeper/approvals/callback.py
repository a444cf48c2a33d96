"""The webhook that is told how a request is decided and ends."""

from __future__ import annotations

from sqlalchemy import bindparam, update

from watchkeeper.approvals.tables import requests
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction

_SET = Statement(
    update(requests)
    .where(requests.c.request == bindparam("request_is"), requests.c.callback.is_(None))
    .values(callback=bindparam("webhook"))
)


def call_back(tx: Transaction, request: str, webhook: str) -> None:
    """Have a webhook told of a request; the first that was asked for stays."""
    _SET.run(tx, request_is=request, webhook=webhook)
