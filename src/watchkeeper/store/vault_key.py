"""The vault's own key, sealed with the plane's; and how everything in the vault is sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Column, LargeBinary, Table, Text, bindparam, select, update

from watchkeeper.core import ids
from watchkeeper.store.metadata import Whole, metadata
from watchkeeper.store.statement import Statement

if TYPE_CHECKING:
    from watchkeeper.store.transaction import Transaction

vault_key = Table(
    "vault_key",
    metadata,
    Column("id", Whole, primary_key=True, autoincrement=False),
    Column("sealed_key", LargeBinary, nullable=False),
    Column("key", Text, nullable=False),
)
"""One row: the vault's key, and the id of the plane's sealing key that seals it."""

KEY_BYTES = 32
_NONCE_BYTES = 12
_KEY = Statement(select(vault_key.c.sealed_key, vault_key.c.key).where(vault_key.c.id == 1))
_ADD_KEY = Statement(vault_key.insert())
_MOVE_KEY = Statement(
    update(vault_key).where(vault_key.c.id == 1).values(sealed_key=bindparam("to_sealed"),
                                                        key=bindparam("to_key"))
)  # fmt: skip


def sealed_with(tx: Transaction) -> str | None:
    """Return the id of the sealing key that seals the vault's, None before it has one."""
    row = _KEY.first(tx)
    return None if row is None else str(row.key)


def open_key(tx: Transaction, key: str, material: bytes) -> bytes | None:
    """Return the vault's key, sealed with a key of the plane; None if there is none yet.

    Raises `InvalidTag` where it does not open.
    """
    row = _KEY.first(tx)
    return None if row is None else unseal(AESGCM(material), bytes(row.sealed_key), key)


def make_key(tx: Transaction, key: str, material: bytes) -> bytes:
    """Make the vault's key, unless it has one, and return it."""
    found = open_key(tx, key, material)
    tx.silent("a key of the plane's own is no change of anything")
    if found is None:
        found = ids.random_bytes(KEY_BYTES)
        _ADD_KEY.run(tx, id=1, sealed_key=seal(AESGCM(material), found, key), key=key)
    return found


def reseal_key(tx: Transaction, old: tuple[str, bytes], new: tuple[str, bytes]) -> None:
    """Seal the vault's key with another key of the plane."""
    found = open_key(tx, *old)
    if found is not None:
        _MOVE_KEY.run(tx, to_sealed=seal(AESGCM(new[1]), found, new[0]), to_key=new[0])


def seal(cipher: AESGCM, raw: bytes, bound: str) -> bytes:
    """Return bytes sealed for one place; AES-256-GCM with a random nonce of 96 bits before it."""
    nonce = ids.random_bytes(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, raw, bound.encode())


def unseal(cipher: AESGCM, sealed: bytes, bound: str) -> bytes:
    """Return what was sealed for that place; raise `InvalidTag` where it was not."""
    return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound.encode())
