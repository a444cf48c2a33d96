"""The chargeback report of a period."""

from __future__ import annotations

from collections.abc import Sequence

from watchkeeper.core.money import dollars
from watchkeeper.decide.spending.periods import ReportPeriod
from watchkeeper.decide.spending.price_sources import price_sources
from watchkeeper.decide.spending.shares import shares
from watchkeeper.decide.spending.sums import Scope, Sum, not_counted, rest, sum_up
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.spending import Chargeback, ChargebackRow, SpendingBy

MOST_LINES = 10_000


def read_chargeback(
    tx: Transaction,
    period: ReportPeriod,
    by: Sequence[SpendingBy],
    scope: Scope,
    *,
    lines: int = MOST_LINES,
) -> Chargeback:
    """Return the report, the dearest lines first; for `store.scan`.

    Where there are more lines than are shown, the last one is all others together.
    """
    sums = sum_up(tx, by, scope, limit=lines)
    groups = list(sums.groups)
    if sums.count > len(groups):
        groups.append(rest(sums))
    percent = shares([one.figures["cost_micros"] for one in groups])
    whole = 100.0 if sums.total.figures["cost_micros"] else 0.0
    return Chargeback(
        period=period.text,
        since=period.since,
        until=period.until,
        zone=period.zone,
        over=tx.now >= period.until,
        produced_at=tx.now,
        by=tuple(by),
        teams=None if scope.teams is None else tuple(sorted(scope.teams)),
        prices=price_sources(tx, scope),
        total=_line(by, sums.total, whole),
        rows=tuple(
            _line(by, one, share, others=not one.names)
            for one, share in zip(groups, percent, strict=True)
        ),
        not_counted=not_counted(tx, scope),
    )


def _line(
    by: Sequence[SpendingBy], one: Sum, share: float, *, others: bool = False
) -> ChargebackRow:
    return ChargebackRow(
        names=dict(zip(by, one.names or [""] * len(by), strict=True)),
        cost=dollars(one.figures["cost_micros"]),
        share_percent=share,
        others=others,
        **one.figures,
    )
