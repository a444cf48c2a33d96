"""Locks, and the receipts of their effects."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text, literal_column

from watchkeeper.store.metadata import Key, Whole, metadata

locks = Table(
    "locks",
    metadata,
    Column("lock", Key, primary_key=True),
    Column("target_kind", Text, nullable=False),
    Column("target_name", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("epoch", Whole, nullable=False, unique=True),
    Column("created_at", Whole, nullable=False),
    Column("lifted_at", Whole),
    Column("lifted_by", Text),
    Column("authority", Whole),
    Column("expires_at", Whole),
)
Index("locks_in_force", locks.c.epoch, sqlite_where=locks.c.lifted_at.is_(None),
      postgresql_where=locks.c.lifted_at.is_(None))  # fmt: skip

receipts = Table(
    "lock_receipts",
    metadata,
    Column("lock", Key, primary_key=True),
    Column("effect", Key, primary_key=True),
    Column("party", Key, primary_key=True),
    Column("state", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("at", Whole, nullable=False),
    Column("by", Text),
    Column("deadline", Whole),
    Column("attempts", Whole, nullable=False),
)
is_open = receipts.c.state.in_((literal_column("'attempted'"), literal_column("'unconfirmed'")))
"""Written out, not bound, as for every index over some rows."""
Index(
    "lock_receipts_open",
    receipts.c.lock,
    sqlite_where=is_open,
    postgresql_where=is_open,
)

drills = Table(
    "drills",
    metadata,
    Column("drill", Key, primary_key=True),
    Column("target_kind", Text, nullable=False),
    Column("target_name", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Whole, nullable=False),
    Column("reason", Text, nullable=False),
    Column("runs", Whole, nullable=False),
    Column("checked", Whole, nullable=False),
    Column("refused", Whole, nullable=False),
    Column("findings", Whole, nullable=False),
    Column("lock_us", Whole, nullable=False),
    Column("decide_us", Whole, nullable=False),
    Column("digest", Text, nullable=False),
    Column("sequence", Whole, nullable=False),
    Column("report", Text, nullable=False),
    Column("team", Text),
)
"""Rehearsals of locks; `report` is canonical JSON, and `digest` is of it; `team` is the one that
the target belonged to, empty where it was none or several."""
