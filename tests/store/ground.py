"""A small room for the store's tests: accounts that units of work move amounts between."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import CheckConstraint, Column, Table, Text, bindparam, select

from watchkeeper.store.metadata import Whole, metadata
from watchkeeper.store.statement import Statement, insert
from watchkeeper.store.transaction import Transaction

accounts = Table(
    "test_accounts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("amount", Whole, nullable=False),
    CheckConstraint("amount >= 0", name="amount_not_negative"),
)

ADD = Statement(insert(accounts))
PUT = Statement(
    (upsert := insert(accounts)).on_conflict_do_update(
        index_elements=[accounts.c.name],
        set_={"amount": accounts.c.amount + upsert.excluded.amount},
    )
)
TAKE = Statement(
    accounts.update()
    .where(accounts.c.name == bindparam("account"))
    .values(amount=accounts.c.amount - bindparam("taken"))
    .returning(accounts.c.amount)
)
AMOUNT = Statement(select(accounts.c.amount).where(accounts.c.name == bindparam("account")))
ALL = Statement(select(accounts.c.name, accounts.c.amount).order_by(accounts.c.name))
ACTOR = "spiffe://watchkeeper.local/person/owner"


def put(name: str, amount: int = 1, *, then: Exception | None = None) -> Callable[..., int]:
    """A unit that adds to an account, records it, and fails afterwards if told to."""

    def unit(tx: Transaction) -> int:
        PUT.run(tx, name=name, amount=amount)
        sequence = tx.record("account.put", actor=ACTOR, subject=name, body={"amount": amount})
        if then is not None:
            raise then
        return sequence

    return unit


def amounts(tx: Transaction) -> dict[str, int]:
    """What every account holds."""
    return {row.name: row.amount for row in ALL.all(tx)}
