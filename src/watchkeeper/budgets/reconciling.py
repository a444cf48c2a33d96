"""What an action counts as once a person says how it ended, where nobody knew."""

from __future__ import annotations

from typing import Literal

from watchkeeper.budgets import statements as sql
from watchkeeper.budgets.rules import posted_amounts
from watchkeeper.budgets.settling import correct, posted_of, reserved_of
from watchkeeper.store.transaction import Transaction


def reconcile(tx: Transaction, decision: str, status: Literal["succeeded", "failed"]) -> None:
    """Correct what a hold posted that ended with an unknown outcome, if a budget covers it.

    What others may bill for, and the calls themselves, stay as counted: a person tells how it
    ended, not what it cost. Value counts as moved only if it succeeded.
    """
    hold = sql.FIND_HOLD.first(tx, decision_is=decision)
    if hold is None or hold.state not in ("expired", "settled"):
        return
    before = posted_of(hold)
    posted = posted_amounts(reserved_of(hold), before, status, elapsed=0)
    posted["wall_time"] = before["wall_time"]
    if posted != before:
        correct(tx, hold, posted)
