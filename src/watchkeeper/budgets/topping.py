"""Topping up: more room for one budget, for its current period only."""

from __future__ import annotations

from collections.abc import Sequence

from watchkeeper.budgets import statements as sql
from watchkeeper.budgets.accounts import key_of, open_account
from watchkeeper.budgets.model import LARGEST_AMOUNT, NO_CAP, Account, Cap, written
from watchkeeper.budgets.periods import period_key, zone_of
from watchkeeper.budgets.rules import read_own_budget_id, zone_over
from watchkeeper.core.errors import Conflict, Invalid, NotFound
from watchkeeper.store.transaction import Transaction


def top_up(
    tx: Transaction,
    budget: str,
    period: str | None,
    amount: int,
    *,
    reason: str,
    actor: str,
    standing: Sequence[Cap] = (),
    request: str | None = None,
) -> None:
    """Raise the cap of one budget for its current period.

    `period` is the period key that was on the screen, if one was. `standing` are the caps
    in force, so that a budget may be topped up before anybody drew on it; `request` is the
    approval request that asked for it, where one did. Raises
    :class:`NotFound` for an unknown budget, :class:`Conflict` if that period is over.
    """
    scope, of_period, measure = read_own_budget_id(budget)
    if not 0 < amount <= LARGEST_AMOUNT:
        raise Invalid(f"cannot top up by {amount}", where="amount", remedy="give more than zero")
    zone = zone_of(period) if period else zone_over(standing, scope, of_period)
    current = period_key(of_period, tx.now, scope.removeprefix("run/"), zone)
    if period is not None and period != current:
        raise Conflict(
            f"{of_period} {period} of {budget} is over; it is now {current}",
            code="period_over",
            remedy="look at the budget again and top up the current period",
        )
    account = Account(scope, of_period, current)
    caps = [cap.cap for cap in standing if cap.budget_id == budget]
    if caps:
        open_account(tx, account, scope.removeprefix("agent/"), tx.now)
        sql.caps_of((measure,)).run(
            tx, **key_of(account), **sql.named("cap", {measure: min(caps)}, (measure,))
        )
    row = sql.BALANCE.first(tx, **key_of(account))
    if row is None or getattr(row, f"cap_{measure}") == NO_CAP:
        raise NotFound(
            f"there is no budget {budget} in this {of_period}",
            remedy="see `watchkeeper budgets list` for those in use",
        )
    sql.TOP_UP[measure].run(tx, **key_of(account), amount=amount)
    tx.record(
        "budget.topped_up",
        actor=actor,
        subject=f"budget/{budget}",
        agent=row.agent or None,
        run=scope.removeprefix("run/") if of_period == "run" else None,
        request=request,
        body={
            "budget": budget,
            "period_key": current,
            "measure": measure,
            "amount": amount,
            "text": written(measure, amount),
            "reason": reason,
        },
    )
