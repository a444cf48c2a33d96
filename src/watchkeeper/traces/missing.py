"""What an answer about a period cannot hold: what is not kept any more, or never was."""

from __future__ import annotations

from sqlalchemy import func, select

from watchkeeper.core.clock import utc_text
from watchkeeper.core.words import count
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces.keeping import HOUR_US, left_out
from watchkeeper.traces.tables import spans


def missing_of(tx: Transaction, since: int, until: int) -> tuple[str, ...]:
    """Return what is not kept of a period, in words."""
    oldest = tx.connection.execute(select(func.min(spans.c.start))).scalar()
    found = []
    if oldest is None:
        found.append("everything: no step of any run is kept")
    elif oldest > since:
        found.append(f"what began before {utc_text(oldest)}: nothing older is kept")
    calls = left_out(tx, since - since % HOUR_US, until)
    if calls:
        found.append(
            f"{count(calls, 'call')} that went well and were left out by sampling; their runs "
            "have them in their sums"
        )
    return tuple(found)
