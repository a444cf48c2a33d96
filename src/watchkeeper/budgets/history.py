"""What was posted to a balance in equal parts of time, for small drawings and forecasts.

No call pays for it: every five minutes a timer copies what the balances that moved have posted by
then. The part that a time falls in is the difference of two such sums.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Column, Table, bindparam, delete, select

from watchkeeper.budgets.model import MEASURES, Account
from watchkeeper.budgets.periods import CALENDAR, HOUR_US, starts_at, zone_of
from watchkeeper.budgets.tables import balances
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.store import timers
from watchkeeper.store.metadata import Key, Whole, metadata
from watchkeeper.store.statement import Statement, insert
from watchkeeper.store.timers import Handler
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.budgets import Measure, Period

PARTS = "budgets.parts"
"""The kind of the one timer that copies sums."""
EVERY = 300 * MICROSECONDS
PART_US: Mapping[Period, int] = {
    "hour": EVERY,
    "day": HOUR_US,
    "week": 6 * HOUR_US,
    "month": 24 * HOUR_US,
}
"""How long one part of a period is."""
MOST_PARTS = 31
_KEPT = 40 * 24 * HOUR_US

Sums = Sequence[tuple[int, Mapping[Measure, int]]]
"""Up to which time how much was posted by then, oldest first."""

parts = Table(
    "budget_parts",
    metadata,
    Column("scope", Key, primary_key=True),
    Column("period", Key, primary_key=True),
    Column("period_key", Key, primary_key=True),
    Column("until", Whole, primary_key=True),
    *(Column(f"posted_{m}", Whole, nullable=False, default=0) for m in MEASURES),
)
"""What a balance had posted by the end of a part, as last copied."""

_POSTED = [f"posted_{measure}" for measure in MEASURES]
_copied = insert(parts).from_select(
    ["scope", "period", "period_key", "until", *_POSTED],
    select(
        balances.c.scope,
        balances.c.period,
        balances.c.period_key,
        bindparam("end", type_=Whole),
        *(balances.c[name] for name in _POSTED),
    ).where(balances.c.period == bindparam("of"), balances.c.bucket >= bindparam("since")),
)
_COPY = Statement(
    _copied.on_conflict_do_update(
        index_elements=["scope", "period", "period_key", "until"],
        set_={name: _copied.excluded[name] for name in _POSTED},
    )
)
_PURGE = Statement(delete(parts).where(parts.c.until < bindparam("before")))


def begin(tx: Transaction) -> None:
    """See to it that sums are copied from now on."""
    tx.silent("when sums are copied says nothing of what was posted")
    timers.ensure(tx, PARTS, "balances", _next(tx.now))


def copy(tx: Transaction, ref: str, due_at: int) -> None:
    """Copy what the balances that moved lately have posted by now, and set the next time.

    However late it runs, it stands for the time that it was due: what is posted since is of the
    part that follows, but for what fell between.
    """
    tx.silent("sums for drawings; what was posted is on record")
    for period in CALENDAR:
        part = PART_US[period]
        end = -(-due_at // part) * part
        _COPY.run(tx, end=end, of=period, since=due_at // HOUR_US - 1)
    _PURGE.run(tx, before=tx.now - _KEPT)
    timers.schedule(tx, PARTS, ref, _next(tx.now))


def sums_of(tx: Transaction, accounts: Iterable[Account]) -> dict[Account, Sums]:
    """Return the sums that were copied of some balances."""
    wanted = {account for account in accounts if account.period in PART_US}
    if not wanted:
        return {}
    query = (
        select(parts)
        .where(
            parts.c.scope.in_({account.scope for account in wanted}),
            parts.c.period_key.in_({account.period_key for account in wanted}),
        )
        .order_by(parts.c.until)
    )
    found: dict[Account, list[tuple[int, Mapping[Measure, int]]]] = defaultdict(list)
    for row in tx.connection.execute(query):
        account = Account(row.scope, row.period, row.period_key)
        if account in wanted:
            posted = {measure: int(getattr(row, f"posted_{measure}")) for measure in MEASURES}
            found[account].append((row.until, posted))
    return dict(found)


def history_of(
    account: Account, measure: Measure, posted: int, sums: Sums, now: int
) -> tuple[int, ...]:
    """Return what was posted in each part of the period so far; the last part is not over."""
    part = PART_US.get(account.period)
    if part is None:
        return ()
    start = starts_at(account.period, now, zone_of(account.period_key)) // part * part
    ends = list(range(start + part, now, part))[1 - MOST_PARTS :]
    found, before = [], by(sums, measure, ends[0] - part) if ends else 0
    for end in ends:
        total = by(sums, measure, end)
        found.append(max(0, total - before))
        before = max(before, total)
    return (*found, max(0, posted - before))


def by(sums: Sums, measure: Measure, at: int) -> int:
    """Return how much was posted by a time, as copied last before it."""
    return next((posted[measure] for until, posted in reversed(sums) if until <= at), 0)


def lately(
    account: Account, measure: Measure, posted: int, sums: Sums, *, opened_at: int, now: int
) -> tuple[int, int]:
    """Return what was posted in the last day, or since the period began, and how long that is."""
    start = opened_at
    if account.period in CALENDAR:
        start = starts_at(account.period, now, zone_of(account.period_key))
    day = now - 24 * HOUR_US
    if start >= day:
        return posted, now - start
    since = max((until for until, _ in sums if until <= day), default=start)
    return posted - by(sums, measure, since), now - since


def _next(now: int) -> int:
    return now // EVERY * EVERY + EVERY


HANDLERS: dict[str, Handler] = {PARTS: copy}
"""What the sweeper runs for drawings."""
