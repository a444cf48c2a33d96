"""Balances by their key, opened when they are first drawn on."""

from __future__ import annotations

from watchkeeper.budgets import statements as sql
from watchkeeper.budgets.model import Account
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.store import timers
from watchkeeper.store.transaction import Transaction

SWEEP = "budgets.sweep"
"""The kind of the one timer that expires holds."""
SWEEP_SECONDS = 60
"""A hold outlives its expiry by at most this much and one sweep."""


def key_of(account: Account) -> dict[str, str]:
    """Return an account as the parameters that statements find it by."""
    return {
        "scope_is": account.scope,
        "period_is": account.period,
        "key_is": account.period_key,
    }


def open_account(tx: Transaction, account: Account, agent: str, now: int) -> bool:
    """Write an empty balance if there is none; whether it was written."""
    shared = not account.scope.startswith(("run/", "agent/", "version/"))
    written_rows = sql.OPEN_BALANCE.run(
        tx,
        scope=account.scope,
        period=account.period,
        period_key=account.period_key,
        agent="" if shared else agent,
        opened_at=now,
    )
    if written_rows:
        timers.ensure(tx, SWEEP, "holds", now + SWEEP_SECONDS * MICROSECONDS)
    return written_rows == 1
