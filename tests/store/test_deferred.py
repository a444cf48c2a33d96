"""What a batch writes once: seen by whoever looks, and undone with the unit that left it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar

import pytest

from tests.store.ground import ACTOR, PUT, TAKE, amounts, put
from watchkeeper.core.errors import Conflict, Invalid, WatchkeeperError
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction


class Added:
    """Amounts added to accounts."""

    table: ClassVar[str] = "test_accounts"

    def __init__(self) -> None:
        self.sums: dict[str, int] = {}

    def add(self, name: str, amount: int) -> None:
        """Add an amount."""
        self.sums[name] = self.sums.get(name, 0) + amount

    def write(self, tx: Transaction) -> None:
        """Write one row for each account."""
        for name, amount in self.sums.items():
            if amount < 0:
                TAKE.run(tx, account=name, taken=-amount)
            else:
                PUT.run(tx, name=name, amount=amount)


def later(
    name: str, amount: int = 1, *, then: Exception | None = None, event: bool = True
) -> Callable[[Transaction], None]:
    """A unit that leaves an amount to be added, and fails afterwards if told to."""

    def unit(tx: Transaction) -> None:
        tx.deferred(Added).add(name, amount)
        if event:
            tx.record("account.put", actor=ACTOR, subject=name, body={"amount": amount})
        if then is not None:
            raise then

    return unit


async def test_what_was_left_is_stored_when_it_is_answered(store: Store) -> None:
    await asyncio.gather(*(store.write(later("a")) for _ in range(5)))
    assert await store.read(amounts) == {"a": 5}


async def test_statements_and_connections_see_it(store: Store) -> None:
    def by_statement(tx: Transaction) -> dict[str, int]:
        tx.deferred(Added).add("a", 1)
        tx.silent("a test looks")
        return amounts(tx)

    def by_connection(tx: Transaction) -> int:
        tx.deferred(Added).add("a", 1)
        tx.silent("a test looks")
        query = "SELECT amount FROM test_accounts"
        return int(tx.connection.exec_driver_sql(query).scalar_one())

    _, seen, counted = await asyncio.gather(
        store.write(later("a")), store.write(by_statement), store.write(by_connection)
    )
    assert (seen, counted) == ({"a": 2}, 3)
    assert await store.read(amounts) == {"a": 3}


async def test_a_failing_unit_takes_back_its_own_alone(store: Store) -> None:
    answers = await asyncio.gather(
        store.write(later("a")),
        store.write(later("a", 10, then=ValueError("no"))),
        store.write(later("a")),
        store.write(put("b")),
        return_exceptions=True,
    )
    assert isinstance(answers[1], ValueError)
    assert await store.read(amounts) == {"a": 2, "b": 1}
    with pytest.raises(KeyError):
        await store.write(later("a", then=KeyError("a")))
    assert await store.read(amounts) == {"a": 2, "b": 1}


async def test_what_cannot_be_written_fails_who_left_it_alone(store: Store) -> None:
    await store.write(put("a", 1))
    answers = await asyncio.gather(
        store.write(later("a", 2)),
        store.write(later("a", -30)),
        store.write(later("a", 5)),
        return_exceptions=True,
    )
    assert isinstance(answers[1], Conflict)
    assert [answers[0], answers[2]] == [None, None]
    assert await store.read(amounts) == {"a": 8}
    with pytest.raises(Conflict):
        await store.write(later("a", -9))
    assert await store.read(amounts) == {"a": 8}


async def test_it_is_a_change_that_needs_an_event(store: Store) -> None:
    with pytest.raises(WatchkeeperError) as refusal:
        await store.write(later("a", event=False))
    assert refusal.value.code == "unrecorded_change"
    assert await store.read(amounts) == {}


async def test_who_only_looks_needs_no_event_for_what_others_left(store: Store) -> None:
    answers = await asyncio.gather(store.write(later("a")), store.write(amounts))
    assert answers[1] == {"a": 1}


async def test_who_looks_does_not_answer_for_what_others_left(store: Store) -> None:
    answers = await asyncio.gather(
        store.write(later("a", 2**63)), store.write(amounts), return_exceptions=True
    )
    assert isinstance(answers[0], Invalid)
    assert answers[1] == {}
    assert store.head == 0
