"""Spending rate limits in the transaction that decides: all of them over a call, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, select

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.store.statement import Statement, insert
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.rates.rules import Limit, give_back, spend
from watchkeeper.tools.rates.tables import rates

_LOOK = Statement(select(rates.c.arrival).where(rates.c.rule == bindparam("rule_is")))
# the row stays locked once read: of two writers the second waits for the first
_READ = Statement(
    select(rates.c.arrival).where(rates.c.rule == bindparam("rule_is")).with_for_update()
)
_put = insert(rates).values(rule=bindparam("rule"), arrival=bindparam("arrival"))
_PUT = Statement(
    _put.on_conflict_do_update(index_elements=["rule"], set_={"arrival": _put.excluded.arrival})
)


_PURGE = Statement(delete(rates).where(rates.c.arrival < bindparam("before")))


@dataclass(frozen=True, slots=True)
class TooSoon:
    """The limit over a call that has none left for the longest time."""

    limit: Limit
    retry_after_seconds: int
    """From when on the call passes, if nothing else is called meanwhile; rounded up."""


def take(tx: Transaction, limits: Sequence[Limit]) -> TooSoon | None:
    """Spend one call of every limit; or, if any has none left, of no limit.

    The caller records the decision, so this records nothing.
    """
    found = [(limit, _READ.scalar(tx, rule_is=limit.rule)) for limit in _in_order(limits)]
    spent = [(limit, was, *spend(was, limit, tx.now)) for limit, was in found]
    longest = max(spent, key=lambda one: one[3], default=None)
    if longest is None:
        return None
    refused = longest[3] > 0
    for limit, was, arrival, wait in spent:
        drawn_in = wait > 0 and was is not None and arrival < was
        if drawn_in or not refused:
            _PUT.run(tx, rule=limit.rule, arrival=arrival)
    return TooSoon(longest[0], -(-longest[3] // MICROSECONDS)) if refused else None


def look(tx: Transaction, limits: Sequence[Limit]) -> TooSoon | None:
    """Return what `take` would refuse with now; nothing is spent."""
    waits = [
        (limit, spend(_LOOK.scalar(tx, rule_is=limit.rule), limit, tx.now)[1])
        for limit in _in_order(limits)
    ]
    limit, wait = max(waits, key=lambda one: one[1], default=(None, 0))
    if limit is None or wait <= 0:
        return None
    return TooSoon(limit, -(-wait // MICROSECONDS))


def put_back(tx: Transaction, limits: Sequence[Limit]) -> None:
    """Undo what `take` spent in this unit: the call is not made after all."""
    for limit in _in_order(limits):
        arrival = give_back(_READ.scalar(tx, rule_is=limit.rule), limit)
        _PUT.run(tx, rule=limit.rule, arrival=arrival)


def purge(tx: Transaction) -> int:
    """Forget limits whose bucket is full again, as one is that was never spent; return how many.

    Budgets of single runs have limits too, which nobody asks for any more.
    """
    tx.silent("a full bucket says nothing")
    return _PURGE.run(tx, before=tx.now)


def _in_order(limits: Sequence[Limit]) -> list[Limit]:
    """Two units that lock the same rows lock them in one order."""
    return sorted(limits, key=lambda limit: limit.rule)
