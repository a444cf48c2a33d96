"""Counting what is used of authorization details that have a limit."""

from __future__ import annotations

from sqlalchemy import bindparam, or_, select, update

from watchkeeper.identity.details import Detail, Used
from watchkeeper.identity.tables import token_uses
from watchkeeper.store.metadata import Whole
from watchkeeper.store.statement import Statement, insert
from watchkeeper.store.transaction import Transaction

_NO_LIMIT = 2**62
_READ = Statement(select(token_uses).where(token_uses.c.counter == bindparam("counter_is")))
_OPEN = Statement(
    insert(token_uses)
    .values(
        counter=bindparam("counter"), calls=0, amount_micros=0, expires_at=bindparam("expires_at")
    )
    .on_conflict_do_nothing(index_elements=["counter"])
)
_amount = bindparam("amount", type_=Whole)
_COUNT = Statement(
    update(token_uses)
    .where(
        token_uses.c.counter == bindparam("counter_is"),
        token_uses.c.calls < bindparam("most_calls", type_=Whole),
        # a call that moves no money needs no room for money
        or_(_amount == 0, token_uses.c.amount_micros + _amount <= bindparam("most", type_=Whole)),
    )
    .values(calls=token_uses.c.calls + 1, amount_micros=token_uses.c.amount_micros + _amount)
)


def open_counter(tx: Transaction, detail: Detail, expires_at: int) -> None:
    """Begin to count a detail that has a limit."""
    if detail.counted:
        _OPEN.run(tx, counter=detail.counter, expires_at=expires_at)


def used(tx: Transaction, counter: str) -> Used | None:
    """Return what was used under a counter; None if it is not kept (any more)."""
    row = _READ.first(tx, counter_is=counter)
    return None if row is None else Used(row.calls, row.amount_micros)


def count(tx: Transaction, detail: Detail, amount_micros: int) -> bool:
    """Count one call of an amount if it stays within the detail's limits; tell whether it did."""
    most_calls, most = detail.max_calls, detail.max_amount_micros
    return (
        _COUNT.run(
            tx,
            counter_is=detail.counter,
            amount=amount_micros,
            most_calls=_NO_LIMIT if most_calls is None else most_calls,
            most=_NO_LIMIT if most is None else most,
        )
        == 1
    )
