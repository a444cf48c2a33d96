"""Requests for more room in a budget: at most one waits for each budget and period."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, select

from watchkeeper.approvals.tables import requests
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.requests import RequestState

_NEWEST = Statement(
    select(
        requests.c.request,
        requests.c.state,
        requests.c.decided_by,
        requests.c.decided_why,
        requests.c.decide_by,
        requests.c.arguments,
    )
    .where(requests.c.budget == bindparam("budget_is"))
    .order_by(requests.c.request.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class AskedTopUp:
    """The newest request to top up a budget in a period, and where it stands."""

    request: str
    state: RequestState
    decided_by: str | None
    reason: str | None
    decide_by: int
    limit: int
    """The cap with top-ups when it was asked."""


def named(budget: str, period_key: str) -> str:
    """Name one budget in one period, as requests keep it."""
    return f"{budget} {period_key}"


def asked_top_up(tx: Transaction, budget: str, period_key: str) -> AskedTopUp | None:
    """Return the newest request for a budget in a period, or None."""
    row = _NEWEST.first(tx, budget_is=named(budget, period_key))
    if row is None:
        return None
    return AskedTopUp(
        row.request,
        row.state,
        row.decided_by,
        row.decided_why,
        row.decide_by,
        int(json.loads(row.arguments)["limit"]),
    )


def pending_top_ups(tx: Transaction, budgets: Sequence[str]) -> dict[str, str]:
    """Return the pending request of each budget (with its period) that has one."""
    if not budgets:
        return {}
    query = select(requests.c.budget, requests.c.request).where(
        requests.c.budget.in_(budgets), requests.c.state == "pending"
    )
    return {row.budget: row.request for row in tx.connection.execute(query)}
