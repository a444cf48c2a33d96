"""Sealed secrets as rows: put, listed, removed, sealed anew. Values never leave in an event."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import bindparam, func, select, update

from watchkeeper.core import ids
from watchkeeper.core.errors import Conflict, NotFound, TooLarge
from watchkeeper.store import vault_key
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.secrets.model import Sealed, SealingKey
from watchkeeper.tools.secrets.rules import NONCE_BYTES, seal, unseal
from watchkeeper.tools.secrets.tables import sealed_secrets, sealing_state

MOST_SECRETS = 1000
"""How many may be sealed: all are sealed anew in one unit of work."""

_table = sealed_secrets.c
_FIND = Statement(select(sealed_secrets).where(_table.name == bindparam("name_is")))
_ALL = Statement(select(sealed_secrets).where(_table.removed_at.is_(None)).order_by(_table.name))
_COUNT = Statement(
    select(func.count()).select_from(sealed_secrets).where(_table.removed_at.is_(None))
)
_ADD = Statement(sealed_secrets.insert())
_SET = Statement(
    update(sealed_secrets)
    .where(_table.name == bindparam("name_is"))
    .values(
        version=bindparam("to_version"),
        key=bindparam("to_key"),
        nonce=bindparam("to_nonce"),
        ciphertext=bindparam("to_ciphertext"),
        created_at=bindparam("to_created"),
        rotated_at=bindparam("to_rotated"),
        removed_at=bindparam("to_removed"),
    )
)
_USED = Statement(
    update(sealed_secrets)
    .where(_table.name == bindparam("name_is"))
    .values(used_at=bindparam("at"))
)
_STATE = Statement(select(sealing_state.c.key).where(sealing_state.c.id == 1))
_BEGIN = Statement(sealing_state.insert())
_MOVE = Statement(
    update(sealing_state)
    .where(sealing_state.c.id == 1, sealing_state.c.key == bindparam("from_key"))
    .values(key=bindparam("to_key"), changes=sealing_state.c.changes + 1)
)


def key_in_use(tx: Transaction) -> str | None:
    """Return the id of the key that seals, None before the first secret."""
    found = _STATE.scalar(tx)
    return None if found is None else str(found)


def read_sealed(tx: Transaction, name: str) -> Sealed | None:
    """Return a secret as it is stored, or None."""
    row = _FIND.first(tx, name_is=name)
    return _as_sealed(row) if row is not None and row.removed_at is None else None


def list_sealed(tx: Transaction) -> list[Sealed]:
    """Return every secret as it is stored, by name."""
    return [_as_sealed(row) for row in _ALL.all(tx)]


def put(tx: Transaction, key: SealingKey, name: str, value: str, *, actor: str) -> Sealed:
    """Seal a value as the secret's next version.

    Raises `Conflict` when another key seals by now, `TooLarge` when there are too many.
    """
    _hold(tx, key)
    row = _FIND.first(tx, name_is=name)
    standing = row is not None and row.removed_at is None
    if not standing and _COUNT.scalar(tx) >= MOST_SECRETS:
        raise TooLarge(f"the store seals at most {MOST_SECRETS} secrets")
    version = int(row.version) + 1 if row is not None else 1
    nonce = ids.random_bytes(NONCE_BYTES)
    sealed = Sealed(
        name,
        version,
        key.id,
        nonce,
        seal(key, name, version, value, nonce),
        created_at=row.created_at if row is not None and standing else tx.now,
        rotated_at=tx.now,
    )
    if row is None:
        _ADD.run(
            tx, name=name, version=version, key=key.id, nonce=nonce,
            ciphertext=sealed.ciphertext, created_at=sealed.created_at,
            rotated_at=sealed.rotated_at, used_at=None, removed_at=None,
        )  # fmt: skip
    else:
        _store(tx, sealed)
    tx.record(
        "secret.sealed",
        actor=actor,
        subject=f"secret/{name}",
        body={"name": name, "version": version},
    )
    return sealed


def remove(tx: Transaction, name: str, *, actor: str) -> None:
    """Forget a secret's value; raise `NotFound` if there is none."""
    row = _FIND.first(tx, name_is=name)
    if row is None or row.removed_at is not None:
        raise NotFound(f"no secret {name!r} is sealed", remedy="see `watchkeeper secrets list`")
    _SET.run(
        tx, name_is=name, to_version=row.version, to_key=row.key, to_nonce=None,
        to_ciphertext=None, to_created=row.created_at, to_rotated=row.rotated_at,
        to_removed=tx.now,
    )  # fmt: skip
    tx.record(
        "secret.removed",
        actor=actor,
        subject=f"secret/{name}",
        body={"name": name, "version": row.version},
    )


def reseal(tx: Transaction, keys: Mapping[str, SealingKey], new: SealingKey, *, actor: str) -> int:
    """Seal everything with another key; all of it or, if one does not open, nothing.

    Returns how many. Raises `Conflict` naming the secret whose key is not at hand.
    """
    before = key_in_use(tx)
    if before is not None:
        _MOVE.run(tx, from_key=before, to_key=new.id)
    else:
        _BEGIN.run(tx, id=1, key=new.id, changes=1)
    rows = list_sealed(tx)
    for row in rows:
        key = keys.get(row.key)
        if key is None:
            raise _missing(f"the secret {row.name!r}", row.key)
        value, nonce = unseal(key, row), ids.random_bytes(NONCE_BYTES)
        ciphertext = seal(new, row.name, row.version, value, nonce)
        _store(
            tx,
            Sealed(
                row.name, row.version, new.id, nonce, ciphertext, row.created_at, row.rotated_at
            ),
        )
    by = vault_key.sealed_with(tx)
    if by is not None:
        if by not in keys:
            raise _missing("the vault's key", by)
        vault_key.reseal_key(tx, (by, keys[by].material), (new.id, new.material))
    tx.record(
        "secret.key_rotated",
        actor=actor,
        subject="secret/*",
        body={"key": new.id, "replaces": before, "secrets": len(rows)},
    )
    return len(rows)


def _missing(what: str, key: str) -> Conflict:
    return Conflict(
        f"{what} was sealed with key {key}, which is not at hand",
        code="sealing_key_missing",
        remedy="restore that key, or remove the secret; nothing was changed",
    )


def note_uses(tx: Transaction, used: Mapping[str, int]) -> None:
    """Keep when secrets were used last."""
    tx.silent("when a secret was used last is no change of it")
    for name, at in used.items():
        _USED.run(tx, name_is=name, at=at)


def _hold(tx: Transaction, key: SealingKey) -> None:
    """Let only the key in use seal; the row's lock puts planes that share a store in order."""
    if _MOVE.run(tx, from_key=key.id, to_key=key.id):
        return
    if key_in_use(tx) is not None:
        raise Conflict(
            "the plane's sealing key is not the one that seals this store",
            code="sealing_key_changed",
            remedy="restore the key that sealed it, or remove its secrets",
        )
    _BEGIN.run(tx, id=1, key=key.id, changes=1)


def _store(tx: Transaction, sealed: Sealed) -> None:
    _SET.run(
        tx, name_is=sealed.name, to_version=sealed.version, to_key=sealed.key,
        to_nonce=sealed.nonce, to_ciphertext=sealed.ciphertext, to_created=sealed.created_at,
        to_rotated=sealed.rotated_at, to_removed=None,
    )  # fmt: skip


def _as_sealed(row: Row) -> Sealed:
    return Sealed(
        row.name, int(row.version), row.key, bytes(row.nonce), bytes(row.ciphertext),
        row.created_at, row.rotated_at, row.used_at,
    )  # fmt: skip
