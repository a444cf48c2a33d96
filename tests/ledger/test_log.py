"""The log grows with the ledger, is signed at intervals, and is found again after anything."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.ledger.ground import NAME, note, open_log
from tests.rig.stores import sqlite_url
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Conflict, NotFound, Unavailable, WatchkeeperError
from watchkeeper.core.key_files import load_or_make
from watchkeeper.ledger.anchors.files import FileAnchor
from watchkeeper.ledger.checkpoints import checkpoints_after, read_keys, read_signed
from watchkeeper.ledger.log import Log
from watchkeeper.ledger.merkle import Edge
from watchkeeper.ledger.notes import read_key
from watchkeeper.ledger.service import LedgerAudit
from watchkeeper.ledger.tiles import read_bundle
from watchkeeper.ledger.verification import verify
from watchkeeper.store.journal import SELECT_AFTER, leaf_of
from watchkeeper.store.statement import Row
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

OWNER_NAME = "person/ada"


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    opened = await open_log(tmp_path)
    yield opened
    await opened.store.close()


async def reopen(log: Log, directory: Path) -> Log:
    await log.store.close()
    return await open_log(directory, clock_of(log))


def clock_of(log: Log) -> RehearsalClock:
    assert isinstance(log.store.clock, RehearsalClock)
    return log.store.clock


async def root_of_rows(store: Store, size: int) -> bytes:
    edge = Edge()
    for row in await store.read(lambda tx: SELECT_AFTER.all(tx, after=0, limit=size)):
        edge.append(bytes.fromhex(row.leaf_hash))
    assert edge.size == size
    return edge.root()


async def sizes(log: Log) -> list[int]:
    found = await log.store.read(lambda tx: checkpoints_after(tx, 0, 100))
    return [row.size for row in found]


async def test_a_checkpoint_is_due_by_count_and_by_time(log: Log) -> None:
    assert await log.advance() is None, "one event waits"
    clock_of(log).advance(10)
    assert (await log.advance() or log).size == 1  # type: ignore[union-attr]
    await note(log, 255)
    assert await log.advance() is None
    await note(log, 1)
    assert await log.advance() is not None
    assert await log.advance() is None
    clock_of(log).advance(3599)
    assert await log.advance() is None
    clock_of(log).advance(1)
    assert await log.advance() is not None, "silence is proven once an hour"
    assert await sizes(log) == [1, 257, 257]


async def test_a_checkpoint_is_signed_over_the_rows(log: Log) -> None:
    await note(log, 600)
    made = await log.advance(now=True)
    assert made is not None
    checkpoint, signed = read_signed(made.note)
    assert checkpoint.root == await root_of_rows(log.store, 601)
    assert checkpoint.origin.startswith(f"{NAME}/")
    assert signed.signers([log.key]) == [log.key]
    assert (log.tiles.read("checkpoint") or b"").decode() == made.note
    bundled = read_bundle(log.tiles.read("tile/entries/001") or b"") or []
    tile = log.tiles.read("tile/0/001") or b""
    assert [leaf_of(entry) for entry in bundled] == [
        tile[at : at + 32] for at in range(0, len(tile), 32)
    ]
    assert len(read_bundle(log.tiles.read("tile/entries/002.p/89") or b"") or []) == 89


async def test_a_full_tile_takes_the_place_of_its_parts(log: Log, tmp_path: Path) -> None:
    await note(log, 9)
    await log.advance(now=True)
    assert (tmp_path / "log/tile/0/000.p/10").exists()
    await note(log, 250)
    await log.advance(now=True)
    assert not (tmp_path / "log/tile/0/000.p").exists()
    assert not (tmp_path / "log/tile/entries/000.p").exists()


@pytest.mark.parametrize("harm", ["nothing", "torn", "gone", "all gone", "altered", "a full one"])
async def test_a_restart_goes_on_from_what_was_signed(log: Log, tmp_path: Path, harm: str) -> None:
    await note(log, 300)
    await log.advance(now=True)
    await note(log, 5)
    await log.store.close()
    partial = tmp_path / "log/tile/0/001.p/45"
    if harm == "torn":
        partial.write_bytes(partial.read_bytes()[:40])
    elif harm == "gone":
        partial.unlink()
    elif harm == "all gone":
        shutil.rmtree(tmp_path / "log")
    elif harm == "altered":
        partial.write_bytes(bytes(45 * 32))
    elif harm == "a full one":
        (tmp_path / "log/tile/entries/000").unlink()
    again = await open_log(tmp_path)
    made = await again.advance(now=True)
    assert made is not None
    assert read_signed(made.note)[0].root == await root_of_rows(again.store, 307)
    assert again.keys.forks == ()
    found = await again.store.scan(lambda tx: verify(tx, tiles=again.tiles))
    assert found.ok, (found.what, found.detail)
    await again.store.close()


async def test_a_plane_killed_before_the_file_was_written(log: Log, tmp_path: Path) -> None:
    await log.advance(now=True)
    older = log.tiles.read("checkpoint") or b""
    await note(log, 3)
    await log.advance(now=True)
    (tmp_path / "log/checkpoint").write_bytes(older)
    again = await reopen(log, tmp_path)
    await again.advance()
    found = await LedgerAudit(again).verify()
    assert found.found.ok, found
    await again.store.close()


async def test_a_lost_checkpoint_row_is_put_back(log: Log, tmp_path: Path) -> None:
    await log.advance(now=True)
    await note(log, 3)
    made = await log.advance(now=True)
    assert made is not None
    await log.store.write(_drop_last_checkpoint)
    again = await reopen(log, tmp_path)
    await again.advance()
    rows = await again.store.read(lambda tx: checkpoints_after(tx, 0, 9))
    assert [row.note for row in rows][-1] == made.note
    await again.store.close()


async def test_a_log_on_both_engines(store: Store, tmp_path: Path) -> None:
    log = Log(store, tmp_path, NAME)
    await log.open()
    body = {"ledger_key": log.key.text()}
    await store.write(
        lambda tx: tx.record("plane.started", actor="plane", subject="plane/p", body=body)
    )
    audit = LedgerAudit(log, [FileAnchor(tmp_path / "anchor")])
    for _ in range(2):
        await note(log, 150)
        await audit.sign_now()
    await log.rotate(actor=OWNER_NAME, reason="a test")
    assert "index 299\n" in await audit.prove(300)
    await audit.compare(151, 301)
    found, troubles = await audit.verify()
    assert (found.ok, found.anchored, found.checkpoints, troubles) == (True, 301, 3, {})
    again = Log(store, tmp_path, NAME)
    await again.open()
    await again.advance()
    assert (again.key, again.last) == (log.key, log.last)
    await log.fork(log.key.name, "a test", 400)
    found, _ = await audit.verify()
    assert (found.what, found.first_bad) == ("forked", 303)
    await log.keys.accept_forks(actor=OWNER_NAME, reason="a test")
    assert (await audit.verify()).found.ok


@pytest.mark.parametrize("place", ["log", "log/tile", "log/tile/entries/001.p", "log/checkpoint"])
async def test_a_disk_that_fails_is_made_up_for(log: Log, tmp_path: Path, place: str) -> None:
    await note(log, 300)
    in_the_way = tmp_path / place
    in_the_way.parent.mkdir(parents=True, exist_ok=True)
    if place == "log/checkpoint":
        in_the_way.mkdir()
    else:
        in_the_way.write_text("")
    with pytest.raises(WatchkeeperError):
        await log.advance(now=True)
    assert log.problem is not None
    assert await log.advance() is None, "it is tried again in a while"
    if place == "log/checkpoint":
        in_the_way.rmdir()
    else:
        in_the_way.unlink()
    clock_of(log).advance(30)
    await log.advance()
    told: list[object] = [log.problem]
    assert told == [None]
    assert (await log.advance(now=True) or log.last) is not None
    found = await log.store.scan(lambda tx: verify(tx, tiles=log.tiles))
    assert (found.ok, found.entries) == (True, 301), found
    assert (await LedgerAudit(log).verify()).found.ok


def _drop_last_checkpoint(tx: Transaction) -> None:
    tx.silent("an attack")
    tx.connection.exec_driver_sql("DELETE FROM checkpoints WHERE size > 1")


async def test_a_store_that_was_put_back_is_a_fork(log: Log, tmp_path: Path) -> None:
    await note(log, 9)
    await log.advance(now=True)
    await log.store.close()
    database = Path(sqlite_url(tmp_path).removeprefix("sqlite:///"))
    shutil.copy(database, tmp_path / "copy")
    log = await open_log(tmp_path)
    old = log.key.name
    await note(log, 20)
    await log.advance(now=True)
    await log.store.close()
    for file in tmp_path.glob("plane.sqlite3*"):
        file.unlink()
    shutil.copy(tmp_path / "copy", database)

    log = await open_log(tmp_path)
    assert log.key.name != old, "at once, before anything is recorded"
    assert [row.lost_size for row in log.keys.forks] == [31]
    kept = tmp_path / f"log-{old.rpartition('/')[2]}"
    assert (kept / "checkpoint").exists(), "what was signed stays as evidence"
    found = await log.store.scan(lambda tx: verify(tx, tiles=log.tiles))
    assert (found.ok, found.what, found.first_bad) == (False, "forked", 11)

    await log.keys.accept_forks(actor=OWNER_NAME, reason="the disk died")
    assert log.keys.forks == ()
    found = await log.store.scan(lambda tx: verify(tx, tiles=log.tiles))
    assert found.ok, (found.what, found.detail)
    assert "the disk died" in found.notes[0]
    with pytest.raises(NotFound):
        await log.keys.accept_forks(actor=OWNER_NAME, reason="again")
    assert found.checkpoints == 2, "what was signed before the copy still holds"
    await log.store.close()


async def test_an_altered_entry_is_not_signed(log: Log) -> None:
    await note(log, 5)
    await log.store.write(_alter_third)
    with pytest.raises(Conflict, match="entry 3 of the ledger"):
        await log.advance(now=True)
    assert await sizes(log) == []


def _alter_third(tx: Transaction) -> None:
    tx.silent("an attack")
    tx.connection.exec_driver_sql("UPDATE events SET actor = 'eve' WHERE sequence = 3")


async def test_a_new_key_signs_the_last_checkpoint_too(log: Log, tmp_path: Path) -> None:
    await log.advance(now=True)
    old = log.key
    await log.rotate(actor=OWNER_NAME, reason="a colleague left")
    assert not (tmp_path / "signing/ledger-1.key").exists()
    assert log.last is not None
    both = read_signed(log.last.note)[1].signers([old, log.key])
    assert set(both) == {old, log.key}
    assert old.name == log.key.name, "the log is the same one"
    await note(log, 3)
    await log.advance(now=True)
    load_or_make(tmp_path / "signing/ledger-1.key", "left by a plane that was killed")
    again = await reopen(log, tmp_path)
    assert [file.name for file in (tmp_path / "signing").iterdir()] == ["ledger-2.key"]
    assert again.key == log.key
    found = await again.store.scan(lambda tx: verify(tx, tiles=again.tiles))
    assert (found.ok, found.checkpoints) == (True, 3), found
    (rotated,) = [row for row in await again.store.read(_all_events) if "key_rotated" in row.type]
    assert rotated.actor == OWNER_NAME
    await again.store.close()


def _all_events(tx: Transaction) -> list[Row]:
    return SELECT_AFTER.all(tx, after=0, limit=1000)


async def test_a_key_that_is_gone_is_replaced(log: Log, tmp_path: Path) -> None:
    await log.advance(now=True)
    (tmp_path / "signing/ledger-1.key").unlink()
    again = await reopen(log, tmp_path)
    await again.advance()
    keys = await again.store.read(read_keys)
    assert [row.cause for row in keys] == ["began", "rotated"]
    assert again.last is not None
    assert len(read_signed(again.last.note)[1].signers([read_key(row.key) for row in keys])) == 2
    assert (await again.store.scan(verify)).ok
    await again.store.close()


async def test_a_key_that_others_may_read_is_not_used(log: Log, tmp_path: Path) -> None:
    (tmp_path / "signing/ledger-1.key").chmod(0o644)
    await log.store.close()
    with pytest.raises(Unavailable, match="others may read the key that signs checkpoints"):
        await open_log(tmp_path)


async def test_proofs_of_entries_and_of_growth(log: Log) -> None:
    audit = LedgerAudit(log)
    await note(log, 299)
    await log.advance(now=True)
    await note(log, 400)
    text = await audit.prove(650)
    head, _, signed = text.partition("\n\n")
    assert head.split("\n")[:2] == ["c2sp.org/tlog-proof@v1", "index 649"]
    assert read_signed(signed)[0].size == 700
    assert "\n300\n" in await audit.prove(300), "the smallest checkpoint that covers it"
    found = await audit.compare(300, 700)
    assert (read_signed(found.old)[0].size, read_signed(found.new)[0].size) == (300, 700)
    with pytest.raises(NotFound):
        await audit.compare(300, 500)
    with pytest.raises(NotFound):
        await audit.prove(701)


async def test_a_plane_killed_while_it_forks_keeps_what_was_signed(
    log: Log, tmp_path: Path
) -> None:
    await note(log, 9)
    made = await log.advance(now=True)
    assert made is not None
    await log.keys.fork("it was put back", 20)
    again = await reopen(log, tmp_path)
    await again.advance(now=True)
    kept = tmp_path / f"log-{made.origin.rpartition('/')[2]}"
    assert (kept / "checkpoint").read_text() == made.note
    assert (again.tiles.read("checkpoint") or b"").startswith(again.key.name.encode())
    await again.store.close()


@pytest.mark.parametrize("name", ["tile/0/000", "tile/entries/000", "tile/1/000.p/2"])
async def test_a_file_that_was_altered_is_made_anew_as_it_is_said(
    log: Log, tmp_path: Path, name: str
) -> None:
    await note(log, 600)
    await log.advance(now=True)
    path = tmp_path / "log" / name
    raw = path.read_bytes()
    path.write_bytes(raw[:40] + bytes([raw[40] ^ 1]) + raw[41:])
    found = (await LedgerAudit(log).verify()).found
    assert f"the log's file {name.partition('.')[0]}" in (found.detail or "")
    assert "remove it and start the plane again" in (found.detail or "")
    path.unlink()
    again = await reopen(log, tmp_path)
    await again.advance()
    assert (await LedgerAudit(again).verify()).found.ok
    assert path.read_bytes() == raw
    await again.store.close()
