"""Expiring the holds that nobody settled, e.g. since the plane or the caller crashed."""

from __future__ import annotations

from collections.abc import Callable

from watchkeeper.budgets import statements as sql
from watchkeeper.budgets.accounts import SWEEP, SWEEP_SECONDS
from watchkeeper.budgets.settling import expire
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.store import timers
from watchkeeper.store.timers import Handler
from watchkeeper.store.transaction import Transaction

AT_ONCE = 20
"""Some milliseconds of work on the loop; then calls have their turn."""
_SHORTEST_SECONDS = 1


def sweeping(end: Callable[[Transaction, str], object]) -> Handler:
    """Return the timer's handler: it has due holds ended, up to a bound, and looks again.

    `end` is told each hold that is due; one that it only prolongs is due later.
    """

    def sweep(tx: Transaction, ref: str, due_at: int) -> None:
        tx.silent("the timer is only moved; each hold that expires records its event")
        due = sql.EXPIRED.all(tx, now=tx.now, most=AT_ONCE)
        for row in due:
            end(tx, row.decision)
        timers.schedule(tx, SWEEP, ref, _next(tx, len(due)))

    return sweep


def _next(tx: Transaction, ended: int) -> int:
    if ended == AT_ONCE:
        return tx.now  # more are due: go on with the next unit
    following = sql.NEXT_EXPIRY.scalar(tx)
    latest = tx.now + SWEEP_SECONDS * MICROSECONDS
    earliest = tx.now + _SHORTEST_SECONDS * MICROSECONDS
    return latest if following is None else max(earliest, min(following, latest))


HANDLERS: dict[str, Handler] = {SWEEP: sweeping(expire)}
"""What the sweeper runs for this room, by timer kind, where holds are of no decisions."""
