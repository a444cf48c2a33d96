"""Every way to alter a stored ledger is found and named."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, delete, insert, select, update
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import StaticPool

from watchkeeper import ledger
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.store.journal import Journal, events, ledger_head
from watchkeeper.store.metadata import metadata
from watchkeeper.store.migrations import migrate
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

ENTRIES = 12
OWNER = "spiffe://watchkeeper.local/person/owner"
COLUMNS = [column for column in events.c if column.name != "sequence"]


def record_all(journal: Journal, count: int = ENTRIES) -> None:
    for number in range(count):
        journal.append(
            1_000_000 + number, "decision.held", OWNER, f"s{number % 2}",
            "agent" if number % 2 else None, "run_é", None, {"number": number, "text": "a b"},
        )  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> Engine:
    """A ledger in memory, which each example alters and rolls back."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    journal = Journal()
    record_all(journal)
    with engine.begin() as connection:
        migrate(connection, 0)
        columns = [column.name for column in events.c]
        rows = [dict(zip(columns, event, strict=True)) for event in journal.pending]
        connection.execute(insert(events), rows)
        head = {"sequence": journal.sequence, "chain_hash": journal.chain.hex()}
        connection.execute(update(ledger_head).values(head))
    return engine


def check(
    engine: Engine, alter: Callable[[Connection], Any] = lambda connection: None
) -> ledger.Verification:
    """Verify after an alteration, which is undone again."""
    with engine.connect() as connection:
        # the driver begins a transaction before the first change
        alter(connection)
        driver: Any = connection.connection.driver_connection
        found = ledger.verify(Transaction(connection, driver, 0, None))
        connection.rollback()
    return found


def row_at(connection: Connection, sequence: int) -> dict[str, Any]:
    return dict(
        connection.execute(select(events).where(events.c.sequence == sequence)).one()._mapping
    )


def write_row(connection: Connection, sequence: int, **values: Any) -> None:
    connection.execute(update(events).where(events.c.sequence == sequence).values(**values))


def test_untouched_ledger_is_whole(engine: Engine) -> None:
    found = check(engine)
    assert (found.ok, found.entries) == (True, ENTRIES)
    assert (found.first_bad, found.what) == (None, None)


@given(st.data())
def test_any_byte_changed_is_found(engine: Engine, data: st.DataObject) -> None:
    sequence = data.draw(st.integers(1, ENTRIES))
    column = data.draw(st.sampled_from(COLUMNS))

    def alter(connection: Connection) -> None:
        old = row_at(connection, sequence)[column.name]
        new: Any
        if isinstance(old, int):
            new = old ^ (1 << data.draw(st.integers(0, 62)))
        elif old is None:
            new = data.draw(st.text(max_size=3))
        else:
            place = data.draw(st.integers(0, len(old) - 1))
            letter = data.draw(st.characters(codec="utf-8").filter(lambda c: c != old[place]))
            new = data.draw(
                st.sampled_from(
                    [
                        old[:place] + letter + old[place + 1 :],
                        old[:place] + old[place + 1 :],
                        old[:place] + letter + old[place:],
                        old.swapcase(),
                        *([None] if column.nullable else []),
                    ]
                ).filter(lambda value: value != old)
            )
        write_row(connection, sequence, **{column.name: new})

    found = check(engine, alter)
    assert (found.ok, found.first_bad, found.what) == (False, sequence, "changed")
    assert found.entries == sequence - 1


@given(st.integers(1, ENTRIES - 1))
def test_any_dropped_entry_is_missing(engine: Engine, sequence: int) -> None:
    found = check(engine, lambda c: c.execute(delete(events).where(events.c.sequence == sequence)))
    assert (found.ok, found.first_bad, found.what) == (False, sequence, "missing")


@given(st.integers(0, ENTRIES - 1))
def test_any_cut_tail_is_truncated(engine: Engine, kept: int) -> None:
    found = check(engine, lambda c: c.execute(delete(events).where(events.c.sequence > kept)))
    assert (found.ok, found.first_bad, found.what) == (False, kept + 1, "truncated")


@given(
    st.lists(st.integers(1, ENTRIES), min_size=2, max_size=2, unique=True).map(sorted),
    st.booleans(),
)
def test_any_two_swapped_are_reordered(engine: Engine, pair: list[int], whole: bool) -> None:
    """`whole`: with their hashes; else only what they say."""

    def alter(connection: Connection) -> None:
        rows = [row_at(connection, sequence) for sequence in pair]
        for sequence, row in zip(pair, rows[::-1], strict=True):
            del row["sequence"]
            if not whole:
                del row["leaf_hash"], row["chain_hash"]
            write_row(connection, sequence, **row)

    found = check(engine, alter)
    assert (found.ok, found.first_bad, found.what) == (False, pair[0], "reordered")


@given(st.integers(1, ENTRIES))
def test_repeated_entry_at_the_end_is_inserted(engine: Engine, sequence: int) -> None:
    def alter(connection: Connection) -> None:
        row = row_at(connection, sequence) | {"sequence": ENTRIES + 1}
        connection.execute(insert(events).values(row))

    found = check(engine, alter)
    assert (found.ok, found.first_bad, found.what) == (False, ENTRIES + 1, "inserted")


def test_entry_before_the_first_is_inserted(engine: Engine) -> None:
    def alter(connection: Connection) -> None:
        connection.execute(insert(events).values(row_at(connection, 1) | {"sequence": 0}))

    found = check(engine, alter)
    assert (found.ok, found.first_bad, found.what) == (False, 0, "inserted")


def test_body_that_means_the_same_is_changed(engine: Engine) -> None:
    found = check(engine, lambda c: write_row(c, 3, body='{"number": 2,"text":"a b"}'))
    assert (found.first_bad, found.what) == (3, "changed")


@pytest.mark.parametrize("values", [{"chain_hash": "0" * 64}, {"sequence": ENTRIES + 1}])
def test_altered_end_record_is_found(engine: Engine, values: dict[str, Any]) -> None:
    assert not check(engine, lambda c: c.execute(update(ledger_head).values(values))).ok


def test_lost_end_record_is_found(engine: Engine) -> None:
    found = check(engine, lambda c: c.execute(delete(ledger_head)))
    assert (found.ok, found.what) == (False, "truncated")


def test_rewritten_history_does_not_follow(engine: Engine) -> None:
    """Someone who recomputes one leaf and not the chain after it is still found."""

    def alter(connection: Connection) -> None:
        forged = Journal()
        record_all(forged, 4)
        forged.restore(forged.position()._replace(sequence=4, pending=0))
        forged.append(1, "decision.permitted", OWNER, "x", None, None, None, {})
        row = dict(zip([c.name for c in events.c], forged.pending[0], strict=True))
        del row["sequence"]
        write_row(connection, 5, **row)

    found = check(engine, alter)
    assert found.first_bad == 6  # entry 5 follows from 4; 6 does not follow from the forged 5
    assert found.what == "changed"


async def test_verifies_across_pages_and_tells_its_progress(store: Store) -> None:
    def unit(tx: Transaction) -> None:
        for number in range(1234):
            tx.record("noted", actor=OWNER, subject="s", body={"number": number})

    await store.write(unit)
    told: list[tuple[str, int, int]] = []
    found = await store.scan(lambda tx: ledger.verify(tx, lambda *now: told.append(now)))
    assert (found.ok, found.entries) == (True, 1234)
    assert told == [("entries", done, 1234) for done in (500, 1000, 1234)]


async def test_writing_goes_on_while_a_scan_runs(store: Store) -> None:
    def noted(tx: Transaction) -> int:
        return tx.record("noted", actor=OWNER, subject="s", body={})

    for _ in range(3):
        await asyncio.gather(*(store.write(noted) for _ in range(200)))
    scan = asyncio.ensure_future(store.scan(ledger.verify))
    while not scan.done():
        await store.write(noted)
    found = scan.result()
    assert found.ok
    assert 600 <= found.entries <= store.head


async def test_tables_of_the_ledger_are_the_same_on_both_engines(
    store: Store, clock: RehearsalClock
) -> None:
    assert {"events", "ledger_head", "schema_version"} <= metadata.tables.keys()
    head = await store.read(lambda tx: tx.connection.execute(select(ledger_head)).one())
    assert tuple(head) == (1, 0, "0" * 64)
