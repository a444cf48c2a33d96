"""The end of holds that nobody settled, together with the decisions they are for.

So no cost counts of what still shows as running.
"""

from __future__ import annotations

from contextlib import suppress

from watchkeeper.budgets import service as budgets
from watchkeeper.budgets.accounts import SWEEP
from watchkeeper.budgets.timers import sweeping
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Conflict, NotFound
from watchkeeper.decide.live import HOLD_SECONDS
from watchkeeper.decide.records import NOBODY_REPORTED
from watchkeeper.decide.service import Decider
from watchkeeper.store.timers import Handler
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Outcome

NEVER_BEGUN = "it was permitted and never begun"


def hold_timers(decider: Decider) -> dict[str, Handler]:
    """Return the handler of what ends holds in time, with the decisions they are for."""

    def end(tx: Transaction, decision: str) -> None:
        """End a hold that is due; what this plane performs right now goes on."""
        if decider.flights.is_flying(decision):
            budgets.prolong(tx, decision, tx.now + HOLD_SECONDS * MICROSECONDS)
            return
        with suppress(NotFound, Conflict):  # a loan, or what is of no decision
            end_unreported(tx, decider, decision)
        budgets.expire(tx, decision)

    return {SWEEP: sweeping(end)}


def end_unreported(tx: Transaction, decider: Decider, decision: str) -> None:
    """Record that nobody reported how an action ended; void what never began."""
    if decider.flights.never_flew(decision):
        decider.settle_in(tx, decision, Outcome(status="failed", error=NEVER_BEGUN), begun=False)
    else:
        decider.settle_in(tx, decision, Outcome(status="unknown", error=NOBODY_REPORTED))
