"""Retention holds: of what is held no purge takes anything, until it is let go.

Every purge of rows about agents, runs or requests names their columns in `is_held` and leaves the
held alone. Rows whose time is over stay without authority: whoever reads them looks at the time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    Index,
    Table,
    and_,
    bindparam,
    literal_column,
    or_,
    select,
    update,
)

from watchkeeper.store.metadata import Key, Whole, metadata
from watchkeeper.store.statement import Row, Statement, insert
from watchkeeper.store.transaction import Transaction

Kind = Literal["agent", "run", "request", "runtime", "subject", "everything"]


class Held(NamedTuple):
    """What is held; the name of everything is `*`."""

    kind: Kind
    name: str


retention_holds = Table(
    "retention_holds",
    metadata,
    Column("holder", Key, primary_key=True),
    Column("kind", Key, primary_key=True),
    Column("name", Key, primary_key=True),
    Column("held_at", Whole, nullable=False),
    Column("sequence", Whole, nullable=False),
    Column("let_go_at", Whole),
)
"""`sequence` is the event by which it was held first; what was let go stays, with its time."""
_of = retention_holds.c
_in_force = _of.let_go_at.is_(None)
Index(
    "retention_holds_in_force",
    _of.kind,
    _of.name,
    sqlite_where=_in_force,
    postgresql_where=_in_force,
)
_upsert = insert(retention_holds).values(
    holder=bindparam("holder"),
    kind=bindparam("kind"),
    name=bindparam("name"),
    held_at=bindparam("at"),
    sequence=bindparam("sequence"),
    let_go_at=None,
)
_HOLD = Statement(
    _upsert.on_conflict_do_update(
        index_elements=["holder", "kind", "name"], set_={"let_go_at": None}
    )
)
_LET_GO = Statement(
    update(retention_holds)
    .where(_of.holder == bindparam("holder_is"), _in_force)
    .values(let_go_at=bindparam("at"))
)
_TAKE_UP = Statement(
    update(retention_holds).where(_of.holder == bindparam("holder_is")).values(let_go_at=None)
)
_IN_FORCE = Statement(select(retention_holds).where(_in_force))
_BY = Statement(
    select(retention_holds).where(_of.holder == bindparam("holder_is")).order_by(_of.kind, _of.name)
)


def hold(tx: Transaction, holder: str, held: Iterable[Held], sequence: int) -> None:
    """Hold more for a holder, from its event on."""
    rows = [
        {"holder": holder, "kind": one.kind, "name": one.name, "at": tx.now, "sequence": sequence}
        for one in sorted(held)
    ]
    if rows:
        _HOLD.run_many(tx, rows)


def let_go(tx: Transaction, holder: str) -> None:
    """Hold nothing for a holder any more."""
    _LET_GO.run(tx, holder_is=holder, at=tx.now)


def take_up(tx: Transaction, holder: str) -> None:
    """Hold again what was held for a holder, as far as it is still there."""
    _TAKE_UP.run(tx, holder_is=holder)


def held_by(tx: Transaction, holder: str) -> list[Row]:
    """Return what is or was held for a holder: `kind`, `name`, `sequence`, `let_go_at`."""
    return _BY.all(tx, holder_is=holder)


def holds_in_force(tx: Transaction) -> list[Row]:
    """Return what is held now: `holder`, `kind`, `name`."""
    return _IN_FORCE.all(tx)


def is_held(**named: Any) -> ColumnElement[bool]:
    """Return the condition that a row is held: `agent`, `run`, `request` and `runtime` are its
    columns, or what stands for one.
    """
    about = [and_(_of.kind == literal_column(f"'{kind}'"), _of.name == column)
             for kind, column in named.items()]  # fmt: skip
    everything = _of.kind == literal_column("'everything'")
    return select(literal_column("1")).where(_in_force, or_(everything, *about)).exists()
