"""Whoever alters rows, the log's files, checkpoints or keys is found, and where (by mutation).

The hand that alters has the database, then also the files, then also the key: only what is kept
outside withstands the last.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, update
from sqlalchemy.engine import Connection

from tests.ledger.ground import all_rows, note, open_log, rewrite
from tests.rig.stores import sqlite_url
from watchkeeper.core.key_files import load_or_make
from watchkeeper.ledger.checkpoints import Checkpoint, checkpoints, ledger_keys, read_signed
from watchkeeper.ledger.claims import Published
from watchkeeper.ledger.merkle import Edge, consistency_proof, consistent
from watchkeeper.ledger.notes import Note, sign
from watchkeeper.ledger.tiles import Tiles, bundle, tile_name
from watchkeeper.ledger.verification import Verification, verify
from watchkeeper.store.journal import entry_bytes, events, ledger_head
from watchkeeper.store.sqlite import connect
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

SIZES = (1, 100, 301, 330)
ENTRIES = 333


@dataclass
class Ground:
    """A ledger of some entries with checkpoints at `SIZES`."""

    directory: Path
    connection: Connection
    driver: Any
    origin: str

    @property
    def tiles(self) -> Tiles:
        return Tiles(self.directory / "log")

    def check(
        self,
        alter: Callable[[Connection], Any] = lambda connection: None,
        outside: tuple[tuple[str, str], ...] = (),
    ) -> Verification:
        """Verify after an alteration of the rows, which is undone again."""
        self.driver.execute("BEGIN")
        try:
            alter(self.connection)
            tx = Transaction(self.connection, self.driver, 0, None)
            published = Published(len(SIZES), self.tiles.read("checkpoint"))
            return verify(tx, tiles=self.tiles, published=published, outside=outside)
        finally:
            self.driver.rollback()
            self.connection.rollback()

    def sign(self, size: int, root: bytes) -> str:
        """A checkpoint that the log's own key signs."""
        text = Checkpoint(self.origin, size, root).text()
        private = load_or_make(self.directory / "signing/ledger-1.key", "the key")
        return Note(text, (sign(private, self.origin, text),)).write()

    def note(self, size: int) -> str:
        """The checkpoint of a size."""
        found = self.connection.execute(
            select(checkpoints.c.note).where(checkpoints.c.size == size)
        )
        text: str = found.scalar_one()
        self.connection.rollback()
        return text


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    directory = tmp_path_factory.mktemp("ledger")

    async def fill() -> str:
        log = await open_log(directory)
        for size in SIZES:
            await note(log, size - log.store.head)
            await log.advance(now=True)
        await note(log, ENTRIES - SIZES[-1])
        await log.store.close()
        return log.key.name

    origin = asyncio.run(fill())
    path = Path(sqlite_url(directory).removeprefix("sqlite:///"))
    connection, driver = connect(path)
    yield Ground(directory, connection, driver, origin)
    connection.close()
    driver.close()


def test_what_was_not_altered_is_whole(ground: Ground) -> None:
    found = ground.check()
    assert (found.ok, found.entries, found.checkpoints, found.anchored) == (True, ENTRIES, 4, 0)
    anchored = ground.check(outside=(("a file", ground.note(301)),))
    assert (anchored.ok, anchored.anchored) == (True, 301)


@pytest.mark.parametrize("old", range(len(SIZES)))
def test_every_pair_of_checkpoints_is_consistent(ground: Ground, old: int) -> None:
    for new in range(old, len(SIZES)):
        was, now = (read_signed(ground.note(SIZES[n]))[0] for n in (old, new))
        proof = consistency_proof(ground.tiles.reader(now.size), was.size, now.size)
        assert consistent(was.size, now.size, proof, was.root, now.root)


# The database


@given(st.integers(2, SIZES[-1]), st.sampled_from(["at", "actor", "subject", "body", "type"]))
def test_an_entry_rewritten_with_all_hashes_after_it(
    ground: Ground, sequence: int, column: str
) -> None:
    """Rows and chain agree; the log's files name the entry, and a signature proves it."""

    def alter(connection: Connection) -> None:
        rows = all_rows(connection)
        rows[sequence - 1][column] = 5 if column == "at" else '{"x":1}'
        rewrite(connection, rows)

    found = ground.check(alter)
    assert (found.ok, found.what, found.first_bad) == (False, "changed", sequence)


@given(st.integers(2, SIZES[-1] - 1), st.sampled_from(["dropped", "doubled", "swapped"]))
def test_entries_moved_with_all_hashes_after_them(ground: Ground, sequence: int, how: str) -> None:
    def alter(connection: Connection) -> None:
        rows = all_rows(connection)
        if how == "dropped":
            del rows[sequence - 1]
        elif how == "doubled":
            rows.insert(sequence, rows[sequence - 1])
        else:
            rows[sequence - 1 : sequence + 1] = rows[sequence - 1 : sequence + 1][::-1]
        rewrite(connection, rows)

    found = ground.check(alter)
    assert (found.ok, found.first_bad) == (False, sequence + (how == "doubled"))


@given(st.integers(0, SIZES[-1] - 1))
def test_a_tail_cut_with_its_end_record(ground: Ground, kept: int) -> None:
    found = ground.check(lambda c: rewrite(c, all_rows(c)[:kept]))
    assert (found.ok, found.first_bad, found.what) == (False, kept + 1, "truncated")


def test_a_tail_that_nobody_signed_can_be_cut(ground: Ground) -> None:
    """Which is why it is stated how much is anchored."""
    found = ground.check(lambda c: rewrite(c, all_rows(c)[: SIZES[-1]]), (("x", ground.note(301)),))
    assert (found.ok, found.entries, found.anchored) == (True, 330, 301)


# The checkpoints and the keys


@given(st.data())
def test_any_byte_of_a_checkpoint(ground: Ground, data: st.DataObject) -> None:
    number = data.draw(st.integers(1, len(SIZES)))
    column = data.draw(st.sampled_from(["origin", "size", "root", "note"]))

    def alter(connection: Connection) -> None:
        of = select(checkpoints.c[column]).where(checkpoints.c.id == number)
        old = connection.execute(of).scalar_one()
        if isinstance(old, int):
            new: Any = old ^ (1 << data.draw(st.integers(0, 20)))
        else:
            place = data.draw(st.integers(0, len(old) - 1))
            letter = data.draw(st.characters(codec="utf-8").filter(lambda c: c != old[place]))
            new = old[:place] + letter + old[place + 1 :]
        connection.execute(
            update(checkpoints).where(checkpoints.c.id == number).values({column: new})
        )

    found = ground.check(alter)
    assert not found.ok
    assert f"checkpoint {number} " in (found.detail or "")


@given(st.integers(1, len(SIZES) - 1))
def test_a_checkpoint_dropped(ground: Ground, number: int) -> None:
    found = ground.check(lambda c: c.execute(delete(checkpoints).where(checkpoints.c.id == number)))
    assert (found.ok, found.detail) == (False, f"checkpoint {number} is gone")


def test_checkpoints_swapped(ground: Ground) -> None:
    def alter(connection: Connection) -> None:
        for was, now in ((2, 9), (3, 2), (9, 3)):
            of = update(checkpoints).where(checkpoints.c.id == was)
            connection.execute(of.values(id=now))

    assert "out of order" in (ground.check(alter).detail or "")


def test_the_newest_checkpoint_dropped_is_told_by_the_file(ground: Ground) -> None:
    found = ground.check(lambda c: c.execute(delete(checkpoints).where(checkpoints.c.id == 4)))
    assert (found.ok, found.what) == (False, "missing"), found.detail


@pytest.mark.parametrize("how", ["dropped", "another", "added"])
def test_keys_altered(ground: Ground, how: str) -> None:
    text = ground.origin

    def alter(connection: Connection) -> None:
        if how == "dropped":
            connection.execute(delete(ledger_keys))
        elif how == "another":
            connection.execute(update(ledger_keys).values(origin=f"{text}x"))
        else:
            values = {"id": 2, "origin": "a", "key": "a+b+c", "cause": "rotated", "reason": ""}
            connection.execute(insert(ledger_keys).values(made_at=1, **values))

    assert not ground.check(alter).ok


# The files


FILES = [
    "checkpoint", "tile/0/000", "tile/0/001.p/74", "tile/1/000.p/1", "tile/entries/000",
    "tile/entries/001.p/74",
]  # fmt: skip


@given(st.data())
def test_any_byte_of_a_file(ground: Ground, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(FILES))
    path = ground.directory / "log" / name
    raw = path.read_bytes()
    place = data.draw(st.integers(0, len(raw) - 1))
    how = data.draw(st.sampled_from(["flipped", "cut", "more", "gone"]))
    try:
        if how == "flipped":
            bad = bytearray(raw)
            bad[place] ^= 1 << data.draw(st.integers(0, 7))
            path.write_bytes(bad)
        elif how == "gone":
            path.unlink()
        else:
            path.write_bytes(raw[:place] if how == "cut" else raw + b"\0")
        found = ground.check()
    finally:
        path.write_bytes(raw)
    assert not found.ok
    assert name in (found.detail or "")
    assert found.entries == ENTRIES, "the entries themselves are sound"


def test_rows_and_files_rewritten_are_not_what_was_signed(ground: Ground) -> None:
    """The files agree with the forged rows: between which checkpoints it was is known."""
    kept = {name: (ground.directory / "log" / name).read_bytes() for name in FILES}

    def alter(connection: Connection) -> None:
        rows = all_rows(connection)
        rows[199]["actor"] = "eve"
        rewrite(connection, rows)
        _write_files(ground, connection)

    try:
        found = ground.check(alter)
    finally:
        for name, raw in kept.items():
            (ground.directory / "log" / name).write_bytes(raw)
    assert (found.ok, found.what, found.first_bad) == (False, "changed", 101)
    assert "entries 101 to 301" in (found.detail or "")


def test_everything_rewritten_with_the_key_is_found_outside(ground: Ground) -> None:
    """Rows, files and checkpoints, signed by the log's own key: what is kept outside differs."""
    kept = {name: (ground.directory / "log" / name).read_bytes() for name in FILES}
    outside = (("the witness", ground.note(301)),)

    def alter(connection: Connection) -> None:
        rows = all_rows(connection)
        rows[199]["actor"] = "eve"
        rewrite(connection, rows)
        roots = _write_files(ground, connection)
        for number, size in enumerate(SIZES, 1):
            values = {"root": roots[size].hex(), "note": ground_sign(size, roots[size])}
            connection.execute(update(checkpoints).where(checkpoints.c.id == number).values(values))
        (ground.directory / "log/checkpoint").write_text(ground_sign(330, roots[330]))

    ground_sign = ground.sign
    try:
        assert ground.check(alter).ok, "from inside nothing is to be seen"
        found = ground.check(alter, outside)
    finally:
        for name, raw in kept.items():
            (ground.directory / "log" / name).write_bytes(raw)
    assert (found.ok, found.what, found.first_bad) == (False, "changed", 1)
    assert "entries 1 to 301 are not what was signed in the witness" in (found.detail or "")


def _write_files(ground: Ground, connection: Connection) -> dict[int, bytes]:
    """Make the files that fit the rows; return the root at each size."""
    edge, entries, roots, files = Edge(), [], {}, []
    for row in connection.execute(select(events).order_by(events.c.sequence)):
        entries.append(entry_bytes(*row[:9]))
        full = edge.append(bytes.fromhex(row.leaf_hash))
        for tile in full:
            files.append((tile_name(tile.level, tile.number), b"".join(tile.hashes)))
            if tile.level == 0:
                files.append((tile_name("entries", tile.number), bundle(entries)))
                entries = []
        roots[edge.size] = edge.root()
        if edge.size == SIZES[-1]:
            for tile in edge.partial():
                name = tile_name(tile.level, tile.number, len(tile.hashes))
                files.append((name, b"".join(tile.hashes)))
            files.append((tile_name("entries", 1, len(entries)), bundle(entries)))
            name = tile_name(0, 1, 301 - 256)
            files.append((name, b"".join(edge.levels[0][: 301 - 256])))
            files.append((tile_name("entries", 1, 301 - 256), bundle(entries[: 301 - 256])))
    ground.tiles.write(files)
    return roots


# Outside


@pytest.mark.parametrize("size", [331, 332, 333])
def test_an_anchored_tail_that_is_cut(ground: Ground, size: int) -> None:
    edge = Edge()
    rows = ground.connection.execute(select(events.c.leaf_hash).order_by(events.c.sequence))
    for row in rows.all()[:size]:
        edge.append(bytes.fromhex(row.leaf_hash))
    ground.connection.rollback()
    outside = (("the anchor", ground.sign(size, edge.root())),)
    assert ground.check(outside=outside).anchored == size
    found = ground.check(lambda c: rewrite(c, all_rows(c)[: size - 1]), outside)
    assert (found.ok, found.first_bad, found.what) == (False, size, "truncated")


@given(st.data())
def test_no_altered_byte_outside_is_believed(ground: Ground, data: st.DataObject) -> None:
    text = ground.note(301)
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.characters(codec="utf-8").filter(lambda c: c != text[place]))
    found = ground.check(outside=(("the anchor", text[:place] + letter + text[place + 1 :]),))
    assert not found.ok
    assert "the anchor" in (found.detail or "")


def test_a_checkpoint_of_another_ledger_is_none_of_this(ground: Ground, tmp_path: Path) -> None:
    root = base64.b64encode(bytes(32)).decode()
    text = f"{ground.origin}\n9\n{root}\n"
    private = load_or_make(tmp_path / "other.key", "another key")
    forged = Note(text, (sign(private, ground.origin, text),)).write()
    found = ground.check(outside=(("the anchor", forged),))
    assert (found.ok, found.anchored) == (False, 0)


def test_an_end_record_that_is_gone(ground: Ground) -> None:
    assert ground.check(lambda c: c.execute(delete(ledger_head))).what == "truncated"


async def test_an_empty_ledger_is_whole(store: Store) -> None:
    assert (await store.scan(verify)).ok
