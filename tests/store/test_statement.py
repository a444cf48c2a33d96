from __future__ import annotations

import pytest
from sqlalchemy import Column, Integer, LargeBinary, Table, Text, bindparam, func, select

from tests.store.ground import ACTOR, ADD, AMOUNT, accounts
from watchkeeper.core.errors import Invalid
from watchkeeper.store.metadata import Whole, metadata
from watchkeeper.store.statement import Statement, insert
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

things = Table(
    "test_things",
    metadata,
    Column("number", Whole, primary_key=True),
    Column("data", LargeBinary),
    Column("text", Text),
)
ADD_THING = Statement(
    insert(things).values(data=bindparam("data"), text=bindparam("text")).returning(things.c.number)
)
LARGEST = Statement(
    select(things.c.number, things.c.data, things.c.text)
    .where(things.c.number > 0, things.c.number < bindparam("below"))
    .order_by(things.c.number.desc())
    .limit(1)
)


@pytest.mark.parametrize("values", [{}, {"account": "a", "more": 1}, {"acount": "a"}])
async def test_missing_and_unknown_values_are_refused(
    store: Store, values: dict[str, object]
) -> None:
    for method in (AMOUNT.first, AMOUNT.scalar, AMOUNT.all, AMOUNT.run):
        with pytest.raises(TypeError, match="missing values"):
            await store.read(lambda tx, method=method: method(tx, **values))  # type: ignore[misc]
    with pytest.raises(TypeError, match="missing values"):
        await store.write(lambda tx: ADD.run_many(tx, [{"name": "a"}]))


async def test_row_ids_bytes_and_constants(store: Store) -> None:
    def unit(tx: Transaction) -> list[int]:
        tx.record("things", actor=ACTOR, subject="x", body={})
        return [ADD_THING.scalar(tx, data=bytes([0, 255, n]), text="é\n") for n in range(3)]

    assert await store.write(unit) == [1, 2, 3]
    row = await store.read(lambda tx: LARGEST.first(tx, below=3))
    assert row is not None
    assert (row.number, row.data, row.text) == (2, b"\x00\xff\x01", "é\n")
    assert await store.read(lambda tx: LARGEST.first(tx, below=1)) is None


async def test_column_names_that_tuples_use_are_columns(store: Store) -> None:
    count = Statement(
        select(func.count().label("count"), func.max(accounts.c.amount).label("index"))
    )
    row = await store.read(count.first)
    assert row is not None
    assert (row.count, row.index) == (0, None)


async def test_whole_numbers_hold_64_bits_and_no_more(store: Store) -> None:
    def unit(tx: Transaction) -> None:
        tx.record("big", actor=ACTOR, subject="x", body={})
        ADD.run(tx, name="big", amount=2**63 - 1)

    def too_big(tx: Transaction) -> None:
        tx.record("big", actor=ACTOR, subject="x", body={})
        ADD.run(tx, name="bigger", amount=2**63)

    await store.write(unit)
    with pytest.raises(Invalid):
        await store.write(too_big)
    assert await store.read(lambda tx: AMOUNT.scalar(tx, account="big")) == 2**63 - 1


def test_no_table_has_numbers_of_32_bits() -> None:
    """PostgreSQL's integer cannot hold a time in microseconds."""
    narrow = [
        str(column)
        for table in metadata.tables.values()
        for column in table.columns
        if type(column.type) is Integer
    ]
    assert narrow == []
