"""How far something that follows the ledger has come: a table of one row for each follower."""

from __future__ import annotations

from sqlalchemy import Column, Table, bindparam, select, update

from watchkeeper.core.errors import Conflict
from watchkeeper.store.metadata import Whole, metadata
from watchkeeper.store.statement import Statement, insert
from watchkeeper.store.transaction import Transaction


class Cursor:
    """The sequence of the last event that a follower is done with.

    It moves in the unit of work that keeps what the events led to, so each event counts once.
    """

    def __init__(self, name: str) -> None:
        table = Table(
            name,
            metadata,
            Column("id", Whole, primary_key=True, autoincrement=False),
            Column("sequence", Whole, nullable=False),
        )
        self._at = Statement(select(table.c.sequence).where(table.c.id == 1))
        self._begin = Statement(
            insert(table)
            .values(id=1, sequence=bindparam("sequence"))
            .on_conflict_do_nothing(index_elements=["id"])
        )
        self._move = Statement(
            update(table)
            .where(table.c.id == 1, table.c.sequence == bindparam("from_sequence"))
            .values(sequence=bindparam("to_sequence"))
        )

    def begin(self, tx: Transaction, head: int) -> int:
        """Return where it stands; at first all of the ledger is done with, up to its head."""
        tx.silent("how far the ledger was followed says nothing new")
        self._begin.run(tx, sequence=head)
        return int(self._at.scalar(tx))

    def at(self, tx: Transaction) -> int | None:
        """Return where it stands; None: it was never begun."""
        found: int | None = self._at.scalar(tx)
        return found

    def move(self, tx: Transaction, was: int, to: int) -> None:
        """Move it on; raise `Conflict` (`followed_elsewhere`) if another has moved it."""
        tx.silent("how far the ledger was followed says nothing new")
        if not self._move.run(tx, from_sequence=was, to_sequence=to):
            raise Conflict("the ledger was followed by another", code="followed_elsewhere")
