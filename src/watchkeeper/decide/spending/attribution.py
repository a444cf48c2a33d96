"""What was spent in a time, by one dimension, beside the time before."""

from __future__ import annotations

from watchkeeper.decide.spending.sums import Scope, Sum, not_counted, sum_up
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.spending import Spending, SpendingBy, SpendingRow

ALL = "all"


def read_spending(tx: Transaction, by: SpendingBy, scope: Scope, *, limit: int) -> Spending:
    """Return what was spent, the dearest first; for `store.scan`."""
    sums = sum_up(tx, (by,), scope, limit=limit, before=True)
    whole = sums.total.figures["cost_micros"]
    return Spending(
        by=by,
        since=scope.since,
        until=scope.until,
        total=_row(ALL, sums.total, whole),
        rows=tuple(_row(one.names[0], one, whole) for one in sums.groups),
        more=max(0, sums.count - len(sums.groups)),
        not_counted=not_counted(tx, scope),
    )


def _row(name: str, one: Sum, whole: int) -> SpendingRow:
    share = 100 * one.figures["cost_micros"] / whole if whole else 0.0
    return SpendingRow(
        name=name, before_micros=one.before, share_percent=round(share, 2), **one.figures
    )
