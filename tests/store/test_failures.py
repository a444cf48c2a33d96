"""Disks that fill, servers that vanish, databases that are not ours."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.rig.deadline import eventually_async
from tests.rig.postgres import Postgres
from tests.rig.postgres_proxy import proxied
from tests.rig.stores import empty_sqlite_url
from tests.store.ground import ACTOR, ADD, amounts, put
from watchkeeper import ledger
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Conflict, Invalid, Unavailable
from watchkeeper.store.sqlite_engine import SqliteEngine
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction


def fill(tx: Transaction) -> None:
    """A unit that needs about a megabyte."""
    ADD.run_many(tx, [{"name": f"{tx.now}-{n}" + "x" * 1000, "amount": 1} for n in range(1000)])
    tx.record("filled", actor=ACTOR, subject="x", body={})


def limit_pages(store: Store, spare: int) -> None:
    """Let the database grow by `spare` pages and no further, as a full disk would."""
    engine = store._engine
    assert isinstance(engine, SqliteEngine)
    driver = engine._session.driver
    pages = driver.execute("PRAGMA page_count").fetchone()[0]
    driver.execute(f"PRAGMA max_page_count={pages + spare}")


async def test_full_disk_fails_the_batch_whole_and_passes(
    tmp_path: Path, clock: RehearsalClock
) -> None:
    async with await Store.open(empty_sqlite_url(tmp_path), clock) as store:
        await store.write(put("before"))
        reader = store.subscribe()
        limit_pages(store, 4)
        called: list[int] = []

        def with_callback(tx: Transaction) -> None:
            tx.after_commit(lambda: called.append(1))
            put("neighbour")(tx)

        answers = await asyncio.gather(
            store.write(with_callback),
            store.write(fill),
            store.write(put("c")),
            return_exceptions=True,
        )
        lone = (await asyncio.gather(store.write(fill), return_exceptions=True))[0]
        assert isinstance(lone, Unavailable)
        assert "full" in lone.message
        assert isinstance(answers[1], Unavailable)
        limit_pages(store, 100_000)

        # a neighbour either stands or was told that it does not
        stands = {"before"} | {
            name
            for name, answer in (("neighbour", answers[0]), ("c", answers[2]))
            if not isinstance(answer, Unavailable)
        }
        assert set(await store.read(amounts)) == stands
        assert bool(called) == ("neighbour" in stands)
        await store.write(fill)
        check = await store.scan(ledger.verify)
        assert (check.ok, check.entries) == (True, len(stands) + 1)
        seen = [event.sequence for event in await anext(reader)]
        assert seen == list(range(2, 2 + len(seen)))


async def test_disk_full_at_the_very_events_undoes_the_rows(
    tmp_path: Path, clock: RehearsalClock
) -> None:
    async with await Store.open(empty_sqlite_url(tmp_path), clock) as store:
        await store.write(put("before"))
        limit_pages(store, 0)

        def many_events(tx: Transaction) -> None:
            put("row")(tx)
            for _ in range(200):
                tx.record("padded", actor=ACTOR, subject="x", body={"text": "x" * 1000})

        with pytest.raises(Unavailable):
            await store.write(many_events)
        limit_pages(store, 100_000)
        assert set(await store.read(amounts)) == {"before"}
        assert await store.write(put("after")) == 2
        assert (await store.scan(ledger.verify)).ok


async def test_foreign_writer_that_holds_the_file_is_unavailable_not_a_hang(
    tmp_path: Path, clock: RehearsalClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchkeeper.store.sqlite.BUSY_SECONDS", 0.05)
    async with await Store.open(empty_sqlite_url(tmp_path), clock) as store:
        with contextlib.closing(sqlite3.connect(tmp_path / "plane.sqlite3")) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unavailable, match="locked"):
                await store.write(put("a"))
            other.execute("ROLLBACK")
        assert await store.write(put("a")) == 1


async def test_file_that_is_no_database_is_refused(tmp_path: Path, clock: RehearsalClock) -> None:
    (tmp_path / "plane.sqlite3").write_text("this is a letter, not a database " * 100)
    with pytest.raises(Unavailable, match="not a database"):
        await Store.open(empty_sqlite_url(tmp_path), clock)


async def test_missing_directory_is_refused(tmp_path: Path, clock: RehearsalClock) -> None:
    with pytest.raises(Unavailable) as refusal:
        await Store.open(empty_sqlite_url(tmp_path / "nowhere"), clock)
    assert refusal.value.where is not None
    assert "nowhere" in refusal.value.where


@pytest.mark.parametrize("url", ["", "sqlite://", "sqlite:///:memory:", "mysql://x/y", "no url"])
async def test_other_urls_are_refused(url: str, clock: RehearsalClock) -> None:
    with pytest.raises(Invalid):
        await Store.open(url, clock)


async def test_unreachable_server_is_unavailable(tmp_path: Path, clock: RehearsalClock) -> None:
    with pytest.raises(Unavailable):
        await Store.open(f"postgresql://postgres@/postgres?host={tmp_path}", clock)


async def test_database_file_is_for_its_owner_only(tmp_path: Path, clock: RehearsalClock) -> None:
    async with await Store.open(empty_sqlite_url(tmp_path), clock) as store:
        await store.write(put("a"))
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
        assert len(modes) == 3
        assert set(modes.values()) == {0o600}


@pytest.mark.postgres
async def test_second_plane_on_one_database_is_refused(
    postgres: Postgres, clock: RehearsalClock
) -> None:
    url = postgres.create_database()
    async with await Store.open(url, clock) as first:
        with pytest.raises(Conflict, match="another plane"):
            await Store.open(url, clock)
        assert await first.write(put("a")) == 1
    async with await Store.open(url, clock) as second:
        assert await second.write(put("a")) == 2


@pytest.mark.postgres
@pytest.mark.parametrize("cancelled", [False, True])
async def test_store_that_closes_leaves_no_connection_of_those_who_read(
    postgres: Postgres, clock: RehearsalClock, cancelled: bool
) -> None:
    url = postgres.create_database()

    async def no_connection() -> bool:
        return not await asyncio.to_thread(postgres.is_connected, url)

    for turns in (0, 5, 10, 20, 40):
        store = await Store.open(url, clock)
        reads = [asyncio.ensure_future(store.read(amounts)) for _ in range(3)]
        for _ in range(turns):
            await asyncio.sleep(0)
        if cancelled:
            for read in reads:
                read.cancel()
        await store.close()
        for answer in await asyncio.gather(*reads, return_exceptions=True):
            assert answer == {} or isinstance(answer, asyncio.CancelledError | Unavailable)
        await eventually_async(no_connection, "the server sees every connection end")


@pytest.mark.postgres
async def test_cut_connections_lose_no_answered_unit(
    postgres: Postgres, clock: RehearsalClock
) -> None:
    url = postgres.create_database()
    async with await Store.open(url, clock) as store:
        answered: list[str] = []
        stopping = asyncio.Event()

        async def client(number: int) -> None:
            count = 0
            while not stopping.is_set():
                name = f"{number}-{count}"
                count += 1
                try:
                    await store.write(put(name))
                except Unavailable:
                    await asyncio.sleep(0)
                else:
                    answered.append(name)

        async def reached(count: int) -> bool:
            return len(answered) >= count

        clients = [asyncio.ensure_future(client(number)) for number in range(8)]
        for _ in range(4):
            aim = len(answered) + 40
            await eventually_async(lambda aim=aim: reached(aim), "units go through")  # type: ignore[misc]
            await asyncio.to_thread(postgres.end_connections, url)
        aim = len(answered) + 40
        await eventually_async(lambda: reached(aim), "units go through again")
        stopping.set()
        await asyncio.gather(*clients)
        stored = await store.read(amounts)
        assert set(answered) <= stored.keys()
        check = await store.read(ledger.verify)
        assert check.ok
        assert check.entries == len(stored)


@pytest.mark.postgres
async def test_ledger_moved_from_outside_is_noticed_before_anything_is_written(
    postgres: Postgres, clock: RehearsalClock
) -> None:
    url = postgres.create_database()
    async with await Store.open(url, clock) as store:
        await store.write(put("a"))
        postgres.execute(url, "UPDATE ledger_head SET sequence = 7")
        with pytest.raises(Unavailable, match="another writer"):
            await store.write(put("b"))
        assert await store.write(put("c")) == 8
        assert set(await store.read(amounts)) == {"a", "c"}
        found = await store.read(ledger.verify)
        assert (found.first_bad, found.what) == (2, "missing")


@pytest.mark.postgres
async def test_wire_cut_around_a_commit_gives_the_true_answer(
    postgres: Postgres, clock: RehearsalClock
) -> None:
    async with (
        proxied(postgres.create_database()) as (proxy, url),
        await Store.open(url, clock) as store,
    ):
        reader = store.subscribe()
        assert await store.write(put("a")) == 1
        proxy.cut = "before the commit"
        with pytest.raises(Unavailable):
            await store.write(put("never"))
        assert await store.write(put("b")) == 2
        proxy.cut = "after the commit"
        assert await store.write(put("c")) == 3
        assert await store.write(put("d")) == 4
        assert set(await store.read(amounts)) == {"a", "b", "c", "d"}
        assert (await store.read(ledger.verify)).entries == 4
        subjects: list[str] = []
        while len(subjects) < 4:
            subjects += [event.subject for event in await anext(reader)]
        assert subjects == ["a", "b", "c", "d"]


@pytest.mark.postgres
async def test_text_that_postgres_cannot_hold_is_invalid(
    postgres: Postgres, clock: RehearsalClock
) -> None:
    async with await Store.open(postgres.create_database(), clock) as store:
        with pytest.raises(Invalid):
            await store.write(put("nul\0byte"))
        assert await store.write(put("a")) == 1


async def test_raw_transaction_end_in_a_unit_spoils_nothing_silently(
    store: Store,
) -> None:
    def ends_it(tx: Transaction) -> None:
        put("half")(tx)
        tx.connection.execute(text("ROLLBACK"))

    answers = await asyncio.gather(
        store.write(put("a")), store.write(ends_it), store.write(put("b")), return_exceptions=True
    )
    stored = await store.read(amounts)
    assert "half" not in stored
    for name, answer in zip("a_b", answers, strict=True):
        assert isinstance(answer, Exception) == (name not in stored)
    assert (await store.read(ledger.verify)).ok
