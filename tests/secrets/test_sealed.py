"""The sealed store on both databases: sealed, opened, rotated; wrong keys and changed rows."""

from __future__ import annotations

import os
import signal
import stat
import sys
import types
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.rig.process import Child, clean_environment
from tests.rig.stores import sqlite_url
from watchkeeper.core.clock import RehearsalClock, SystemClock
from watchkeeper.core.errors import Conflict, Invalid, NotFound, Unavailable
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.secrets.keys import FileKeys, KeyringKeys, VariableKeys
from watchkeeper.tools.secrets.rules import read_keys
from watchkeeper.tools.secrets.sealed import SealedStore
from watchkeeper.tools.secrets.service import MOST_SECRETS, list_sealed

CANARY = "sk-canary-7f3a91c2"
OWNER = "person/owner"
KEY_ONE = "00" * 31 + "01"
KEY_TWO = "00" * 31 + "02"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "sealing.key"


@pytest.fixture
def sealed(store: Store, key_file: Path) -> SealedStore:
    return SealedStore(store, FileKeys(key_file))


async def test_a_secret_is_opened_as_it_was_put(
    sealed: SealedStore, store: Store, key_file: Path
) -> None:
    first = await sealed.put("stripe", CANARY + "\n", actor=OWNER)
    assert (first.version, await sealed.read("stripe")) == (1, CANARY)
    second = await sealed.put("stripe", "sk-next-000000", actor=OWNER)
    assert (second.version, await sealed.read("stripe")) == (2, "sk-next-000000")
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    another = SealedStore(store, FileKeys(key_file))
    assert await another.read("stripe") == "sk-next-000000"


async def test_nothing_of_a_value_is_stored_or_told(
    sealed: SealedStore, store: Store, clock: RehearsalClock
) -> None:
    await sealed.put("stripe", CANARY, actor=OWNER)
    await sealed.read("stripe")
    await sealed.note_uses()
    (row,) = await sealed.list()
    assert row.used_at == clock.now()
    assert CANARY not in repr(row)

    def everything(tx: Transaction) -> str:
        tables = ("events", "sealed_secrets", "sealing_state")
        return repr([tuple(r) for t in tables for r in tx.connection.execute(
            text(f"select * from {t}"))])  # fmt: skip

    assert CANARY not in await store.read(everything)


async def test_a_removed_secret_is_gone_and_its_versions_go_on(sealed: SealedStore) -> None:
    await sealed.put("stripe", CANARY, actor=OWNER)
    await sealed.remove("stripe", actor=OWNER)
    with pytest.raises(Unavailable, match="no secret 'stripe'"):
        await sealed.read("stripe")
    with pytest.raises(NotFound):
        await sealed.remove("stripe", actor=OWNER)
    assert await sealed.list() == []
    assert (await sealed.put("stripe", "sk-other-1", actor=OWNER)).version == 2


@pytest.mark.parametrize("value", ["", "\n", "a\nb", "späß", " padded", "x" * 16_385, "a\x00b"])
async def test_what_no_header_can_carry_is_refused_unseen(sealed: SealedStore, value: str) -> None:
    with pytest.raises(Invalid) as refused:
        await sealed.put("stripe", value, actor=OWNER)
    assert not value.strip() or value not in str(refused.value)


async def test_a_missing_or_other_key_is_said_and_seals_nothing(
    sealed: SealedStore, store: Store, key_file: Path
) -> None:
    await sealed.put("stripe", CANARY, actor=OWNER)
    kept = key_file.read_bytes()
    for content in (b"", KEY_ONE.encode()):
        key_file.write_bytes(content)
        fresh = SealedStore(store, FileKeys(key_file))
        await fresh.load()
        with pytest.raises(Unavailable) as missing:
            await fresh.read("stripe")
        assert missing.value.code == "sealing_key_missing"
        with pytest.raises(Unavailable):
            await fresh.put("other", "sk-other-1", actor=OWNER)
        with pytest.raises(Conflict):
            await fresh.rotate_key(actor=OWNER)
        assert (await fresh.trouble("stripe")) is not None
    key_file.write_bytes(kept)
    assert await SealedStore(store, FileKeys(key_file)).read("stripe") == CANARY


async def test_a_key_file_that_others_may_read_is_refused(
    sealed: SealedStore, store: Store, key_file: Path
) -> None:
    await sealed.put("stripe", CANARY, actor=OWNER)
    for mode in (0o640, 0o604, 0o660):
        key_file.chmod(mode)
        with pytest.raises(Unavailable, match="others may read it"):
            await SealedStore(store, FileKeys(key_file)).read("stripe")
    key_file.unlink()
    os.mkfifo(key_file, 0o600)
    with pytest.raises(Unavailable, match="it is no file"):
        await SealedStore(store, FileKeys(key_file)).read("stripe")


@pytest.mark.parametrize("column", ["version", "nonce", "ciphertext", "name"])
async def test_a_changed_row_does_not_open(sealed: SealedStore, store: Store, column: str) -> None:
    await sealed.put("stripe", CANARY, actor=OWNER)
    await sealed.put("github", "ghp-000000", actor=OWNER)
    changed = {
        "version": "version = version + 1",
        "nonce": "nonce = (select o.nonce from sealed_secrets o where o.name = 'github')",
        "ciphertext": "ciphertext = (select o.ciphertext from sealed_secrets o "
        "where o.name = 'github')",
        "name": "name = 'renamed'",
    }[column]

    def tamper(tx: Transaction) -> None:
        tx.silent("somebody with access to the database")
        tx.connection.execute(text(f"update sealed_secrets set {changed} where name = 'stripe'"))

    await store.write(tamper)
    sealed.forget(["stripe"])
    with pytest.raises(Unavailable, match="was changed"):
        await sealed.read("renamed" if column == "name" else "stripe")


async def test_rotation_seals_everything_anew_and_drops_the_old_key(
    sealed: SealedStore, store: Store, key_file: Path
) -> None:
    values = {f"s{n}": f"value-{n:06}" for n in range(20)}
    for name, value in values.items():
        await sealed.put(name, value, actor=OWNER)
    (old,) = read_keys(key_file.read_text())
    key, count = await sealed.rotate_key(actor=OWNER)
    (new,) = read_keys(key_file.read_text())
    assert (count, key) == (20, new.id)
    assert new.id != old.id
    rows = await store.read(list_sealed)
    assert {row.key for row in rows} == {new.id}
    assert {row.version for row in rows} == {1}
    fresh = SealedStore(store, FileKeys(key_file))
    assert {name: await fresh.read(name) for name in values} == values


async def test_a_key_in_a_variable_is_changed_by_whoever_sets_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = SealedStore(store, VariableKeys("SEALING"))
    with pytest.raises(Unavailable, match="no sealing key in the variable SEALING"):
        await sealed.put("stripe", CANARY, actor=OWNER)
    monkeypatch.setenv("SEALING", KEY_ONE)
    await sealed.put("stripe", CANARY, actor=OWNER)
    with pytest.raises(Conflict, match="which the plane cannot change"):
        await sealed.rotate_key(actor=OWNER)
    monkeypatch.setenv("SEALING", f"{KEY_TWO},{KEY_ONE}")
    await sealed.rotate_key(actor=OWNER)
    monkeypatch.setenv("SEALING", KEY_TWO)
    assert await SealedStore(store, VariableKeys("SEALING")).read("stripe") == CANARY
    monkeypatch.setenv("SEALING", "not a key of 32 bytes")
    with pytest.raises(Unavailable) as unreadable:
        await SealedStore(store, VariableKeys("SEALING")).read("stripe")
    assert "not a key" not in str(unreadable.value)


async def test_a_key_in_the_systems_keyring(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(Unavailable, match="`keyring` is not installed"):
        await SealedStore(store, KeyringKeys("plane-1")).put("stripe", CANARY, actor=OWNER)
    kept: dict[tuple[str, str], str] = {}
    ring = types.ModuleType("keyring")
    ring.get_password = lambda service, name: kept.get((service, name))  # type: ignore[attr-defined]
    ring.set_password = (  # type: ignore[attr-defined]
        lambda service, name, text: kept.__setitem__((service, name), text)
    )
    monkeypatch.setitem(sys.modules, "keyring", ring)
    sealed = SealedStore(store, KeyringKeys("plane-1"))
    await sealed.put("stripe", CANARY, actor=OWNER)
    first = dict(kept)
    assert set(first) == {("watchkeeper", "plane-1")}
    await sealed.rotate_key(actor=OWNER)
    assert kept != first
    assert await SealedStore(store, KeyringKeys("plane-1")).read("stripe") == CANARY


async def test_two_planes_on_one_store_never_seal_with_a_key_that_was_replaced(
    store: Store, key_file: Path
) -> None:
    one, other = (SealedStore(store, FileKeys(key_file)) for _ in range(2))
    await one.put("stripe", CANARY, actor=OWNER)
    assert await other.read("stripe") == CANARY
    await one.rotate_key(actor=OWNER)
    await other.put("github", "ghp-000000", actor=OWNER)
    other.forget(["stripe"])
    assert await other.read("stripe") == CANARY
    assert len({row.key for row in await store.read(list_sealed)}) == 1


async def test_the_store_has_an_end(sealed: SealedStore, store: Store) -> None:
    await sealed.put("first", CANARY, actor=OWNER)

    def fill(tx: Transaction) -> None:
        tx.silent("a test")
        tx.connection.execute(
            text(
                "insert into sealed_secrets select :p || :n, version, key, nonce, ciphertext, "
                "created_at, rotated_at, used_at, removed_at from sealed_secrets where name='first'"
            ),
            [{"p": "copy-", "n": str(n)} for n in range(MOST_SECRETS - 1)],
        )

    await store.write(fill)
    with pytest.raises(Exception, match="at most 1000"):
        await sealed.put("more", CANARY, actor=OWNER)
    await sealed.put("first", "sk-next-000000", actor=OWNER)


ROTATE = """
import asyncio, os, signal, sys
from pathlib import Path
from watchkeeper.core.clock import SystemClock
from watchkeeper.store.store import Store
from watchkeeper.tools.secrets import service
from watchkeeper.tools.secrets.keys import FileKeys
from watchkeeper.tools.secrets.sealed import SealedStore

url, key_file, point = sys.argv[1], Path(sys.argv[2]), sys.argv[3]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

class Keys(FileKeys):
    writes = 0
    def write(self, keys):
        Keys.writes += 1
        if point == f"before-write-{Keys.writes}":
            die()
        if point == f"in-write-{Keys.writes}":
            Path.replace = die
        super().write(keys)
        if point == f"after-write-{Keys.writes}":
            die()

async def main():
    store = await Store.open(url, SystemClock())
    sealed = SealedStore(store, Keys(key_file))
    if point == "in-unit":
        stored, count = service._store, iter(range(99))
        service._store = lambda *a: die() if next(count) == 3 else stored(*a)
    await sealed.rotate_key(actor="person/owner")
    die()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "point",
    ["before-write-1", "in-write-1", "after-write-1", "in-unit", "before-write-2", "in-write-2",
     "after-write-2"],
)  # fmt: skip
async def test_a_plane_killed_in_a_rotation_opens_every_secret_after(
    tmp_path: Path, key_file: Path, point: str
) -> None:
    url = sqlite_url(tmp_path)
    values = {f"s{n}": f"value-{n:06}" for n in range(8)}
    store = await Store.open(url, SystemClock())
    sealed = SealedStore(store, FileKeys(key_file))
    for name, value in values.items():
        await sealed.put(name, value, actor=OWNER)
    await store.close()
    child = Child.python(
        *("-c", ROTATE, url, str(key_file), point),
        log=tmp_path / "rotation.out",
        env=clean_environment(tmp_path),
    )
    assert child.wait() == -signal.SIGKILL, child.output
    store = await Store.open(url, SystemClock())
    sealed = SealedStore(store, FileKeys(key_file))
    await sealed.load()
    assert {name: await sealed.read(name) for name in values} == values
    await sealed.put("s0", "value-after", actor=OWNER)
    await sealed.rotate_key(actor=OWNER)
    fresh = SealedStore(store, FileKeys(key_file))
    assert await fresh.read("s0") == "value-after"
    assert await fresh.read("s7") == values["s7"]
    assert len(read_keys(key_file.read_text())) == 1
    await store.close()
