"""What was permitted and never reported: after a while its outcome is on record as unknown."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import bindparam, select

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.budgets.holds import end_unreported
from watchkeeper.decide.live import HOLD_SECONDS
from watchkeeper.decide.service import Decider
from watchkeeper.decide.tables import decisions, is_open
from watchkeeper.store import timers
from watchkeeper.store.statement import Statement
from watchkeeper.store.timers import Handler
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Outcome

SWEEP = "decisions.unsettled"
PLANE_ENDED = "the plane ended while it performed this"
_AT_ONCE = 200
_LONGEST_SECONDS = 300
_SHORTEST_SECONDS = 1
_ALL = "all"

_DUE = Statement(
    select(decisions.c.decision, decisions.c.at)
    .where(is_open, decisions.c.at <= bindparam("before"))
    .order_by(decisions.c.at)
    .limit(_AT_ONCE)
)
_OLDEST = Statement(
    select(decisions.c.at)
    .where(is_open, decisions.c.at > bindparam("after"))
    .order_by(decisions.c.at)
    .limit(1)
)
_LEFT_OPEN = Statement(
    select(decisions.c.decision)
    .where(is_open, decisions.c.performer == "plane")
    .order_by(decisions.c.at)
    .limit(_AT_ONCE)
)


async def recover(decider: Decider) -> int:
    """Settle what an earlier plane left running: nobody knows how it ended. Returns how many.

    Before anything is permitted by this plane. Sets the timer for what agents never report.
    """

    def unit(tx: Transaction) -> int:
        tx.silent("a timer is set; each outcome records its event")
        timers.ensure(tx, SWEEP, _ALL, tx.now + _LONGEST_SECONDS * MICROSECONDS)
        found = _LEFT_OPEN.all(tx)
        for row in found:
            decider.settle_in(tx, row.decision, Outcome(status="unknown", error=PLANE_ENDED))
        return len(found)

    total = 0
    while True:
        count = await decider.store.write(unit)
        total += count
        if count < _AT_ONCE:
            return total


def sweeping(decider: Decider) -> Handler:
    """Return the timer's handler: it settles as unknown what has run longer than its hold."""
    return lambda tx, ref, due_at: _sweep(tx, decider, decider.flights.is_flying)


def _sweep(tx: Transaction, decider: Decider, is_flying: Callable[[str], bool]) -> None:
    tx.silent("the timer is only moved; each outcome records its event")
    before = tx.now - HOLD_SECONDS * MICROSECONDS
    found = _DUE.all(tx, before=before)
    for row in found:
        if not is_flying(row.decision):
            end_unreported(tx, decider, row.decision)
    if len(found) == _AT_ONCE:
        timers.schedule(tx, SWEEP, _ALL, tx.now + _SHORTEST_SECONDS * MICROSECONDS)
        return
    latest = tx.now + _LONGEST_SECONDS * MICROSECONDS
    oldest = _OLDEST.scalar(tx, after=before)
    due = latest if oldest is None else min(latest, oldest + HOLD_SECONDS * MICROSECONDS)
    timers.schedule(tx, SWEEP, _ALL, max(due, tx.now + _SHORTEST_SECONDS * MICROSECONDS))
