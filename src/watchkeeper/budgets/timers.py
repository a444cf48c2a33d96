"""Expiring the holds that nobody settled, e.g. since the plane or the caller crashed."""

from __future__ import annotations

from watchkeeper.budgets import statements as sql
from watchkeeper.budgets.accounts import SWEEP, SWEEP_SECONDS
from watchkeeper.budgets.service import expire
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.store import timers
from watchkeeper.store.timers import Handler
from watchkeeper.store.transaction import Transaction

AT_ONCE = 200
_SHORTEST_SECONDS = 1


def sweep(tx: Transaction, ref: str, due_at: int) -> None:
    """Expire due holds, up to a bound, and set the timer for the next."""
    tx.silent("the timer is only moved; each hold that expires records its event")
    expired = sql.EXPIRED.all(tx, now=tx.now, most=AT_ONCE)
    for row in expired:
        expire(tx, row.decision)
    following = sql.NEXT_EXPIRY.scalar(tx)
    latest = tx.now + SWEEP_SECONDS * MICROSECONDS
    earliest = tx.now + _SHORTEST_SECONDS * MICROSECONDS
    if len(expired) == AT_ONCE:
        due = tx.now  # more are due: go on with the next unit
    elif following is None:
        due = latest
    else:
        due = max(earliest, min(following, latest))
    timers.schedule(tx, SWEEP, ref, due)


HANDLERS: dict[str, Handler] = {SWEEP: sweep}
"""What the sweeper runs for this room, by timer kind."""
