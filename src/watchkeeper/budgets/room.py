"""Whether a balance has room, without holding anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from watchkeeper.budgets import statements as sql
from watchkeeper.budgets.accounts import key_of
from watchkeeper.budgets.model import MEASURES, Account, Cap, Refused
from watchkeeper.budgets.periods import resets_at
from watchkeeper.budgets.rules import Amounts, accounts_of, budget_id, check_amounts
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.budgets import Measure


def find_room(
    tx: Transaction | None, *, run: str, caps: Sequence[Cap], amounts: Mapping[str, int], now: int
) -> Refused | None:
    """Return what `reserve` would refuse with now, or None if it would hold the amounts.

    Without a transaction every balance is taken as empty.
    """
    asked = check_amounts(amounts)
    for account, limits in accounts_of(caps, asked, run=run, at=now):
        row = None if tx is None else sql.BALANCE.first(tx, **key_of(account))
        refused = refusal(account, limits, asked, row, now)
        if refused is not None:
            return refused
    return None


def refusal(
    account: Account, limits: Amounts, asked: Amounts, balance: Row | None, now: int
) -> Refused | None:
    """Return the first measure of a balance that has no room; no balance is an empty one."""
    for measure in MEASURES:
        used, held, topped = (
            _of(balance, prefix, measure) for prefix in ("posted", "held", "topped")
        )
        if limits[measure] + topped - used - held < asked[measure]:
            return Refused(
                budget_id=budget_id(account.scope, account.period, measure),
                scope=account.scope,
                period=account.period,
                period_key=account.period_key,
                measure=measure,
                used=used,
                held=held,
                cap=limits[measure] + topped,
                asked=asked[measure],
                resets_at=resets_at(account.period, now),
            )
    return None


def _of(balance: Row | None, prefix: str, measure: Measure) -> int:
    return 0 if balance is None else int(getattr(balance, f"{prefix}_{measure}"))
