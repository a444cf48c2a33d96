from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Table, insert, inspect, select, update

from tests.store.ground import amounts, put
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Conflict
from watchkeeper.runtimes.tables import interrupts
from watchkeeper.store import migrations
from watchkeeper.store.metadata import Whole, metadata, schema_version
from watchkeeper.store.migrations import LATEST, Migration
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction


async def set_version(url: str, clock: RehearsalClock, version: int) -> None:
    def unit(tx: Transaction) -> None:
        tx.silent("as another program left it")
        tx.connection.execute(update(schema_version).values(version=version))

    async with await Store.open(url, clock) as store:
        await store.write(unit)


async def test_opening_twice_changes_nothing(
    empty_database_url: str, clock: RehearsalClock
) -> None:
    async with await Store.open(empty_database_url, clock) as store:
        await store.write(put("a", 5))
    clock.advance(60)
    async with await Store.open(empty_database_url, clock, migrate=False) as store:
        assert await store.read(amounts) == {"a": 5}
        row = await store.read(lambda tx: tx.connection.execute(select(schema_version)).one())
    assert row.version == LATEST
    assert row.applied_at < clock.now()


async def test_newer_schema_is_refused_and_left_alone(
    empty_database_url: str, clock: RehearsalClock
) -> None:
    await set_version(empty_database_url, clock, LATEST + 1)
    for migrate in (True, False):
        with pytest.raises(Conflict, match=f"schema {LATEST + 1}") as refusal:
            await Store.open(empty_database_url, clock, migrate=migrate)
        assert refusal.value.code == "schema_newer"
        assert refusal.value.remedy is not None


async def test_older_schema_is_migrated_only_if_allowed(
    empty_database_url: str, clock: RehearsalClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await Store.open(empty_database_url, clock) as store:
        await store.write(put("a", 5))

    def raise_all(connection: Connection) -> None:
        connection.execute(update(TABLE).values(amount=50))

    steps = (*migrations.MIGRATIONS, Migration(LATEST + 1, raise_all))
    monkeypatch.setattr(migrations, "MIGRATIONS", steps)
    monkeypatch.setattr(migrations, "LATEST", LATEST + 1)
    with pytest.raises(Conflict, match="needs"):
        await Store.open(empty_database_url, clock, migrate=False)
    for _ in range(2):
        async with await Store.open(empty_database_url, clock) as store:
            assert await store.read(amounts) == {"a": 50}
            await store.write(put("a", 0))


async def test_failing_step_leaves_the_schema_as_it_was(
    empty_database_url: str, clock: RehearsalClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await Store.open(empty_database_url, clock) as store:
        await store.write(put("a", 5))

    def fail(connection: Connection) -> None:
        connection.execute(update(TABLE).values(amount=50))
        connection.execute(insert(TABLE).values(name="a", amount=1))

    steps = (*migrations.MIGRATIONS, Migration(LATEST + 1, fail))
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "MIGRATIONS", steps)
        patched.setattr(migrations, "LATEST", LATEST + 1)
        with pytest.raises(Exception, match=r"(?i)unique"):
            await Store.open(empty_database_url, clock)
    async with await Store.open(empty_database_url, clock) as store:
        assert await store.read(amounts) == {"a": 5}


async def test_tables_of_a_room_loaded_later_are_added(
    empty_database_url: str, clock: RehearsalClock
) -> None:
    async with await Store.open(empty_database_url, clock) as store:
        await store.write(put("a"))
    late = Table("test_late", metadata, Column("id", Whole, primary_key=True))
    try:
        async with await Store.open(empty_database_url, clock) as store:
            names = await store.read(lambda tx: inspect(tx.connection).get_table_names())
            assert "test_late" in names
            assert await store.read(amounts) == {"a": 1}
    finally:
        metadata.remove(late)


async def test_an_index_over_everything_is_narrowed(
    empty_database_url: str, clock: RehearsalClock
) -> None:
    name = "ix_events_request_sequence"

    def widen(tx: Transaction) -> None:
        tx.silent("as an older program left it")
        tx.connection.exec_driver_sql(f"DROP INDEX {name}")
        tx.connection.exec_driver_sql(f"CREATE INDEX {name} ON events (request, sequence)")

    def condition(tx: Transaction) -> str | None:
        (found,) = (
            index for index in inspect(tx.connection).get_indexes("events") if index["name"] == name
        )
        options = found.get("dialect_options", {})
        where = options.get("sqlite_where", options.get("postgresql_where"))
        return None if where is None else str(where)

    async with await Store.open(empty_database_url, clock) as store:
        await store.write(widen)
        assert await store.read(condition) is None
    await set_version(empty_database_url, clock, 4)
    async with await Store.open(empty_database_url, clock) as store:
        assert "request IS NOT NULL" in str(await store.read(condition))


OLD_INTERRUPTS = (
    "CREATE TABLE runtime_interrupts (request TEXT NOT NULL PRIMARY KEY, runtime TEXT NOT NULL, "
    "run_id TEXT NOT NULL, interrupt TEXT NOT NULL, state TEXT NOT NULL, "
    "opened_at BIGINT NOT NULL, choices TEXT NOT NULL, choice TEXT, message TEXT, "
    "attempts BIGINT NOT NULL, next_at BIGINT, ended_at BIGINT, detail TEXT, asked TEXT NOT NULL)",
    "CREATE UNIQUE INDEX uq_runtime_interrupts ON runtime_interrupts (runtime, run_id, interrupt)",
    "INSERT INTO runtime_interrupts VALUES "
    "('req_1', 'there', 'run-1', 'i', 'decided', 5, 'approve', 'approve', 'by ada', 2, 9, "
    "NULL, 'soon', '{}')",
)
"""As version 6 made it, with one that is being carried."""


async def test_interrupts_are_kept_without_the_answer_that_their_request_has(
    empty_database_url: str, clock: RehearsalClock
) -> None:
    def age(tx: Transaction) -> None:
        tx.silent("as an older program left it")
        tx.connection.exec_driver_sql("DROP TABLE runtime_interrupts")
        for statement in OLD_INTERRUPTS:
            tx.connection.exec_driver_sql(statement)

    def look(tx: Transaction) -> tuple[list[tuple[object, ...]], set[str], set[str | None]]:
        inspector = inspect(tx.connection)
        return (
            [tuple(row) for row in tx.connection.execute(select(interrupts))],
            {one["name"] for one in inspector.get_columns(interrupts.name)},
            {one["name"] for one in inspector.get_indexes(interrupts.name)},
        )

    async with await Store.open(empty_database_url, clock) as store:
        await store.write(age)
    await set_version(empty_database_url, clock, 6)
    for _ in range(2):
        async with await Store.open(empty_database_url, clock) as store:
            rows, columns, indexes = await store.read(look)
            assert rows == [
                ("req_1", "there", "run-1", "i", "decided", 5, 2, 9, None, "soon", "{}")
            ]
            assert columns == {column.name for column in interrupts.c}
            assert not {"choices", "choice", "message"} & columns
            assert indexes >= {"uq_runtime_interrupts", "ix_runtime_interrupts_open"}


TABLE = metadata.tables["test_accounts"]


async def test_sqlite_has_its_indexes_in_one_order_everywhere(
    tmp_path: Path, clock: RehearsalClock
) -> None:
    def made(tx: Transaction) -> list[tuple[str, str]]:
        rows = tx.connection.exec_driver_sql(
            "SELECT tbl_name, name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
            " ORDER BY rowid"
        )
        return [(row[0], row[1]) for row in rows]

    async with await Store.open(f"sqlite:///{tmp_path}/plane.sqlite3", clock) as store:
        found = await store.read(made)
    by_table: dict[str, list[str]] = {}
    for table, name in found:
        by_table.setdefault(table, []).append(name)
    assert max(map(len, by_table.values())) > 1
    assert all(names == sorted(names) for names in by_table.values())
