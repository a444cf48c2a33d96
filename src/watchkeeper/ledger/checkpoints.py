"""Checkpoints (C2SP tlog-checkpoint) and the keys that sign them, as text and as rows.

Both tables are never purged: an old checkpoint stays verifiable, whatever key signs now.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from sqlalchemy import Column, Index, Table, Text, bindparam, func, select, tuple_, update

from watchkeeper.core.errors import Invalid
from watchkeeper.ledger.notes import Note, read_hash, read_note
from watchkeeper.store.metadata import Key, Whole, metadata
from watchkeeper.store.statement import Row, Statement, insert
from watchkeeper.store.transaction import Transaction

_SIZE = re.compile(r"0|[1-9][0-9]{0,15}")

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("id", Whole, primary_key=True, autoincrement=False),
    Column("at", Whole, nullable=False),
    Column("origin", Text, nullable=False),
    Column("size", Whole, nullable=False),
    Column("root", Text, nullable=False),
    Column("note", Text, nullable=False),
)
"""What was signed, in the order in which it was; `note` is the signed note."""
Index("checkpoints_by_size", checkpoints.c.size, checkpoints.c.id)

ledger_keys = Table(
    "ledger_keys",
    metadata,
    Column("id", Whole, primary_key=True, autoincrement=False),
    Column("origin", Key, nullable=False),
    Column("key", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("made_at", Whole, nullable=False),
    Column("lost_size", Whole),
    Column("accepted_by", Text),
    Column("accepted_at", Whole),
)
"""The keys in the order of their making; the last signs. `cause`: began, rotated or forked; a fork
gives a new origin, and `lost_size` is what the old one's largest known tree had."""

_ADD = Statement(insert(checkpoints))
_LAST = Statement(select(checkpoints).order_by(checkpoints.c.id.desc()).limit(1))
_AFTER = Statement(
    select(checkpoints)
    .where(checkpoints.c.id > bindparam("after"))
    .order_by(checkpoints.c.id)
    .limit(bindparam("limit"))
)
_BY_SIZE = Statement(
    select(checkpoints)
    .where(
        tuple_(checkpoints.c.size, checkpoints.c.id)
        > tuple_(bindparam("size", type_=Whole), bindparam("after", type_=Whole))
    )
    .order_by(checkpoints.c.size, checkpoints.c.id)
    .limit(bindparam("limit"))
)
_BEFORE = Statement(
    select(checkpoints)
    .where(checkpoints.c.id < bindparam("before"))
    .order_by(checkpoints.c.id.desc())
    .limit(bindparam("limit"))
)
_FIRST_WITH = Statement(
    select(checkpoints)
    .where(checkpoints.c.size >= bindparam("size"), checkpoints.c.origin == bindparam("origin"))
    .order_by(checkpoints.c.size, checkpoints.c.id)
    .limit(1)
)
_OF_SIZE = Statement(
    select(checkpoints)
    .where(checkpoints.c.size == bindparam("size"))
    .order_by(checkpoints.c.id.desc())
    .limit(1)
)
_COUNT = Statement(select(func.count()).select_from(checkpoints))
_ADD_KEY = Statement(insert(ledger_keys))
_KEYS = Statement(select(ledger_keys).order_by(ledger_keys.c.id))
_ACCEPT = Statement(
    update(ledger_keys)
    .where(ledger_keys.c.cause == "forked", ledger_keys.c.accepted_at.is_(None))
    .values(accepted_by=bindparam("by"), accepted_at=bindparam("at"))
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log's tree: its name, how many leaves, and their root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return what is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def read_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint that a note's text is; raise `Invalid` for anything else."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0] or not _SIZE.fullmatch(lines[1]):
        raise Invalid("this is no checkpoint: it has an origin, a size and a root")
    return Checkpoint(lines[0], int(lines[1]), read_hash(lines[2]))


def read_signed(text: str) -> tuple[Checkpoint, Note]:
    """Return a signed checkpoint and its note, with nothing of it verified yet."""
    note = read_note(text)
    return read_checkpoint(note.text), note


def last_checkpoint(tx: Transaction) -> Row | None:
    """Return the newest row."""
    return _LAST.first(tx)


def add_checkpoint(tx: Transaction, checkpoint: Checkpoint, note: str) -> Row:
    """Write one down as the newest; return its row."""
    last = _LAST.first(tx)
    _ADD.run(
        tx,
        id=last.id + 1 if last else 1,
        at=tx.now,
        origin=checkpoint.origin,
        size=checkpoint.size,
        root=checkpoint.root.hex(),
        note=note,
    )
    row = _LAST.first(tx)
    assert row is not None
    return row


def checkpoints_after(tx: Transaction, after: int, limit: int) -> list[Row]:
    """Return rows by id, oldest first."""
    return _AFTER.all(tx, after=after, limit=limit)


def checkpoints_by_size(tx: Transaction, size: int, after: int, limit: int) -> list[Row]:
    """Return rows by size and id, from after one on."""
    return _BY_SIZE.all(tx, size=size, after=after, limit=limit)


def checkpoints_before(tx: Transaction, before: int, limit: int) -> list[Row]:
    """Return rows by id, newest first."""
    return _BEFORE.all(tx, before=before, limit=limit)


def count_checkpoints(tx: Transaction) -> int:
    """Return how many there are."""
    return int(_COUNT.scalar(tx))


def covering(tx: Transaction, size: int, origin: str) -> Row | None:
    """Return the smallest checkpoint of an origin that covers so many entries."""
    return _FIRST_WITH.first(tx, size=size, origin=origin)


def checkpoint_of(tx: Transaction, size: int) -> Row | None:
    """Return the newest checkpoint of a size."""
    return _OF_SIZE.first(tx, size=size)


def read_keys(tx: Transaction) -> list[Row]:
    """Return every key, oldest first; the last one signs."""
    return _KEYS.all(tx)


def add_key(tx: Transaction, **values: object) -> None:
    """Write a key down as the one that signs from now on."""
    _ADD_KEY.run(
        tx, id=len(_KEYS.all(tx)) + 1, made_at=tx.now, accepted_by=None, accepted_at=None, **values
    )


def accept_forks(tx: Transaction, by: str) -> int:
    """Write down who accepts the forks that nobody has accepted; return how many."""
    return _ACCEPT.run(tx, by=by, at=tx.now)
