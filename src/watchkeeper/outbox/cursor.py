"""How far the ledger was routed into the outbox."""

from __future__ import annotations

from watchkeeper.core.errors import Conflict
from watchkeeper.outbox import statements as sql
from watchkeeper.store.transaction import Transaction


def begin_cursor(tx: Transaction, head: int) -> int:
    """Return the sequence up to which the ledger was routed; at first all of it counts so."""
    tx.silent("where routing stands says nothing new")
    sql.BEGIN_CURSOR.run(tx, sequence=head)
    return int(sql.CURSOR.scalar(tx))


def move_cursor(tx: Transaction, was: int, to: int) -> None:
    """Say that the ledger is routed up to `to`; raise `Conflict` if another router did that."""
    tx.silent("where routing stands says nothing new")
    if not sql.MOVE_CURSOR.run(tx, from_sequence=was, to_sequence=to):
        raise Conflict("the ledger was routed by another", code="routed_elsewhere")
