"""SQLite's log: copied beside the writer, bounded, and gone once the store is closed."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.rig.stores import empty_sqlite_url
from tests.store.ground import ACTOR, ADD, amounts, put
from watchkeeper import ledger
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Unavailable
from watchkeeper.store import log_copying
from watchkeeper.store.sqlite import connect
from watchkeeper.store.sqlite_engine import SqliteEngine
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

FRAME = 4096 + 24
SHORT, BEYOND = 40, 120
UNIT = 30
"""More pages than a unit of `wide` changes."""


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_copying, "FRAMES", SHORT)
    monkeypatch.setattr(log_copying, "_MOST_BEYOND", BEYOND)


def wide(number: int, *, recorded: bool = True) -> object:
    """A unit that changes some ten pages."""

    def unit(tx: Transaction) -> None:
        ADD.run_many(tx, [{"name": f"{number:05}-{n}" + "x" * 3000, "amount": 1} for n in range(5)])
        if recorded:
            tx.record("wide", actor=ACTOR, subject="x", body={})
        else:
            tx.silent("a test")

    return unit


def engine_of(store: Store) -> SqliteEngine:
    engine = store._engine
    assert isinstance(engine, SqliteEngine)
    return engine


async def fill(store: Store, log: Path, units: range, *, recorded: bool = True) -> int:
    """Write, and return how many pages the log is long by then: its file is never shorter."""
    for number in units:
        await store.write(wide(number, recorded=recorded))  # type: ignore[arg-type]
    return log.stat().st_size // FRAME


@pytest.mark.parametrize("recorded", [True, False], ids=["events", "silent"])
async def test_log_stays_short_under_continuous_writes(
    tmp_path: Path, clock: RehearsalClock, recorded: bool
) -> None:
    url = empty_sqlite_url(tmp_path)
    path = Path(url.removeprefix("sqlite:///"))
    log = path.with_name(f"{path.name}-wal")
    async with await Store.open(url, clock) as store:
        engine_of(store)._session.driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages = await fill(store, log, range(60), recorded=recorded)
        assert SHORT < pages <= SHORT + BEYOND + 2 * UNIT
        assert (engine_of(store)._log._threads is not None) is recorded
        assert len(await store.read(amounts)) == 300
        assert (await store.read(ledger.verify)).ok
    assert not log.exists()
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT count(*) FROM test_accounts").fetchone() == (300,)


async def test_log_begins_anew_once_a_reader_has_ended(
    tmp_path: Path, clock: RehearsalClock
) -> None:
    url = empty_sqlite_url(tmp_path)
    path = Path(url.removeprefix("sqlite:///"))
    log = path.with_name(f"{path.name}-wal")
    async with await Store.open(url, clock) as store:
        connection, reader = connect(path, read_only=True)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM ledger_head").fetchall()
        held = await fill(store, log, range(40))
        assert held > SHORT + BEYOND
        assert reader.execute("SELECT count(*) FROM test_accounts").fetchone() == (0,)
        reader.execute("ROLLBACK")
        connection.close()
        reader.close()
        after = await fill(store, log, range(100, 180))
        assert after <= held + SHORT + BEYOND + 2 * UNIT
    assert not log.exists()


async def test_writer_copies_alone_when_no_other_can(
    tmp_path: Path,
    clock: RehearsalClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = empty_sqlite_url(tmp_path)
    path = Path(url.removeprefix("sqlite:///"))
    log = path.with_name(f"{path.name}-wal")

    def refused(*_: object) -> None:
        raise Unavailable("too many open files")

    async with await Store.open(url, clock) as store:
        engine_of(store)._session.driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        monkeypatch.setattr(log_copying, "connect", refused)
        with caplog.at_level(logging.WARNING):
            pages = await fill(store, log, range(60))
        assert pages <= SHORT + BEYOND + 2 * UNIT
        assert "the writer copies its log alone" in caplog.text
        assert "too many open files" in caplog.text
        assert (await store.read(ledger.verify)).entries == 60


async def test_scrubbed_log_is_empty_and_copied_again_later(
    tmp_path: Path, clock: RehearsalClock
) -> None:
    url = empty_sqlite_url(tmp_path)
    path = Path(url.removeprefix("sqlite:///"))
    log = path.with_name(f"{path.name}-wal")
    async with await Store.open(url, clock) as store:
        for round_ in range(5):
            await fill(store, log, range(round_ * 100, round_ * 100 + 7))
            assert await store.scrub()
            assert log.stat().st_size == 0
            assert engine_of(store)._log._under_way is None
        await store.write(put("last"))
    assert not log.exists()
