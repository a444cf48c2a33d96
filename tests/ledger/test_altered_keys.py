"""A ledger whose key was changed and that was forked: whoever alters what is kept of it is found.

What is said of keys is in the ledger itself; what was signed twice is altered in neither half.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, update
from sqlalchemy.engine import Connection

from tests.ledger.ground import note, open_log
from tests.rig.stores import sqlite_url
from watchkeeper.core.key_files import load_or_make
from watchkeeper.ledger.checkpoints import Checkpoint, checkpoints, ledger_keys, read_signed
from watchkeeper.ledger.log import Log
from watchkeeper.ledger.notes import Note, public_of, sign
from watchkeeper.ledger.tiles import Tiles
from watchkeeper.ledger.verification import Verification, verify
from watchkeeper.store.sqlite import connect
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.inspection.rules import personal_in

Check = Callable[[Callable[[Connection], Any]], Verification]
SAID = [column for column in ledger_keys.c if column.name != "id"]


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Check]:
    """Verify after an alteration of the rows, which is undone again."""
    directory = tmp_path_factory.mktemp("ledger")

    async def fill() -> None:
        log = await open_log(directory)
        log.store.vault.find = personal_in
        for reason in ("a colleague left", "as kim@example.com asked"):
            await note(log, 20)
            await log.advance(now=True)
            await log.rotate(actor="person/ada", reason=reason)
        await log.fork(log.key.name, "put back", 99)
        await log.keys.accept_forks(actor="person/bob", reason="the disk died")
        await note(log, 20)
        await log.advance(now=True)
        await log.store.close()

    asyncio.run(fill())
    path = Path(sqlite_url(directory).removeprefix("sqlite:///"))
    connection, driver = connect(path)

    def checked(alter: Callable[[Connection], Any]) -> Verification:
        driver.execute("BEGIN")
        try:
            alter(connection)
            return verify(Transaction(connection, driver, 0, None), tiles=Tiles(directory / "log"))
        finally:
            driver.rollback()
            connection.rollback()

    yield checked
    connection.close()
    driver.close()


def test_what_was_not_altered_is_whole(check: Check) -> None:
    found = check(lambda connection: None)
    assert (found.ok, found.detail, found.checkpoints) == (True, None, 6)
    assert "accepted by person/bob: the disk died" in found.notes[0]


@given(st.sampled_from([2, 4]), st.sampled_from(SAID), st.data())
def test_nothing_that_is_said_of_a_key_is_altered(
    check: Check, number: int, column: Any, data: st.DataObject
) -> None:
    def alter(connection: Connection) -> None:
        of = ledger_keys.c.id == number
        old = connection.execute(select(column).where(of)).scalar_one()
        other: Any = data.draw(st.integers(0, 1 << 50) if "_at" in column.name or
                               column.name == "lost_size" else st.text(min_size=1))  # fmt: skip
        new = data.draw(st.sampled_from([other, None] if column.nullable else [other]))
        changed = new != old
        connection.execute(update(ledger_keys).where(of).values({column.name: new}))
        altered.append(changed)

    altered: list[bool] = []
    found = check(alter)
    assert found.ok != altered[0], (column, found)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_no_key_is_dropped_or_made_another(check: Check, number: int) -> None:
    of = ledger_keys.c.id == number
    assert not check(lambda c: c.execute(delete(ledger_keys).where(of))).ok
    assert not check(lambda c: c.execute(update(ledger_keys).where(of).values(id=9))).ok
    assert not check(lambda c: c.execute(update(ledger_keys).where(of).values(cause="made"))).ok


def test_no_key_is_added(check: Check, tmp_path: Path) -> None:
    def alter(connection: Connection) -> None:
        of = select(ledger_keys.c.origin).where(ledger_keys.c.id == 4)
        origin = connection.execute(of).scalar_one()
        key = public_of(load_or_make(tmp_path / "it.key", "the key"), origin)
        values = {"id": 5, "origin": origin, "key": key.text(), "cause": "rotated", "reason": ""}
        connection.execute(insert(ledger_keys).values(made_at=1, **values))

    found = check(alter)
    assert (found.ok, found.what) == (False, "inserted")


@given(st.integers(1, 6), st.data())
def test_no_character_of_what_was_signed_is_altered(
    check: Check, number: int, data: st.DataObject
) -> None:
    """Also where another signature still holds, or the same bytes are written otherwise."""

    def alter(connection: Connection) -> None:
        of = checkpoints.c.id == number
        old = connection.execute(select(checkpoints.c.note).where(of)).scalar_one()
        place = data.draw(st.integers(0, len(old) - 1))
        near = [chr(ord(old[place]) ^ bit) for bit in (1, 2, 4, 8, 32)]
        new = old[:place] + data.draw(st.sampled_from(near)) + old[place + 1 :]
        connection.execute(update(checkpoints).where(of).values(note=new))

    found = check(alter)
    assert not found.ok
    assert f"checkpoint {number} " in (found.detail or "")


@pytest.mark.parametrize("number", [2, 4])
def test_no_signature_is_dropped_doubled_or_swapped(check: Check, number: int) -> None:
    """Of a checkpoint that the next key signed, too."""

    def altered(change: Callable[[list[str]], list[str]]) -> Verification:
        def alter(connection: Connection) -> None:
            of = checkpoints.c.id == number
            old = connection.execute(select(checkpoints.c.note).where(of)).scalar_one()
            lines = old.split("\n\n")[1].splitlines()
            assert len(lines) == 2
            text = old.split("\n\n")[0] + "\n\n" + "\n".join(change(lines)) + "\n"
            connection.execute(update(checkpoints).where(of).values(note=text))

        return check(alter)

    assert not altered(lambda lines: lines * 2).ok
    assert not altered(lambda lines: []).ok
    for kept in (0, 1):
        assert altered(lambda lines, kept=kept: [lines[kept]]).ok, "either is a signature of it"  # type: ignore[misc]


def test_a_key_of_another_origin_signs_nothing(check: Check, tmp_path: Path) -> None:
    def alter(connection: Connection) -> None:
        row = connection.execute(select(checkpoints).where(checkpoints.c.id == 1)).one()
        text = Checkpoint(row.origin, row.size, bytes.fromhex(row.root)).text()
        other = load_or_make(tmp_path / "it.key", "the key")
        forged = Note(text, (sign(other, row.origin, text),)).write()
        connection.execute(update(checkpoints).where(checkpoints.c.id == 1).values(note=forged))

    assert "no key of this ledger signed it" in (check(alter).detail or "")


@pytest.mark.parametrize("where", ["inside", "outside"])
async def test_a_key_that_was_replaced_signs_nothing_more(
    log: Log, tmp_path: Path, where: str
) -> None:
    stolen = load_or_make(tmp_path / "plane/signing/ledger-1.key", "the key")
    await note(log, 5)
    await log.advance(now=True)
    await log.rotate(actor="person/ada", reason="it was stolen")
    await note(log, 5)
    made = await log.advance(now=True)
    assert made is not None
    text = read_signed(made.note)[1].text
    forged = Note(text, (sign(stolen, made.origin, text),)).write()
    both = Note(text, (*read_signed(made.note)[1].signatures, *read_signed(forged)[1].signatures))

    async def found(text: str) -> Verification:
        def check(tx: Transaction) -> Verification:
            tx.silent("an attack")
            if where == "outside":
                return verify(tx, outside=(("the witness", text),))
            of = checkpoints.c.id == made.id
            tx.connection.execute(update(checkpoints).where(of).values(note=text))
            return verify(tx)

        return await log.store.write(check)

    assert (await found(both.write())).ok
    altered = await found(forged)
    assert (altered.ok, altered.what) == (False, "changed")
    assert "which was replaced at entry 7" in (altered.detail or "")
