"""Which actions a budget paid for."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, case, literal, select

from watchkeeper.budgets.rules import read_budget_id
from watchkeeper.budgets.tables import balances, holds
from watchkeeper.store.transaction import Transaction


def paid_by(tx: Transaction, budget: str) -> Select[tuple[str]]:
    """Select the decisions that posted to a budget in its newest period, or are held there now.

    None where nothing was ever held in it. Raises `NotFound` for what is no budget's id.
    """
    scope, period, measure = read_budget_id(budget)
    newest = (
        select(balances.c.period_key, balances.c.opened_at)
        .where(balances.c.scope == scope, balances.c.period == period)
        .order_by(balances.c.opened_at.desc())
        .limit(1)
    )
    account = tx.connection.execute(newest).first()
    counted: ColumnElement[int] = case(
        (holds.c.state == "live", holds.c[f"reserved_{measure}"]),
        else_=holds.c[f"posted_{measure}"],
    )
    found = select(holds.c.decision).where(counted > 0)
    if account is None:
        return found.where(literal(False))
    line = f"\n{scope} {period} {account.period_key}\n"
    return found.where(
        holds.c.created_at >= account.opened_at,
        (literal("\n") + holds.c.accounts + literal("\n")).contains(line, autoescape=True),
    )
