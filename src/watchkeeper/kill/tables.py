"""Locks and receipts."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text

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
)
Index("locks_in_force", locks.c.epoch, sqlite_where=locks.c.lifted_at.is_(None),
      postgresql_where=locks.c.lifted_at.is_(None))  # fmt: skip

receipts = Table(
    "receipts",
    metadata,
    Column("lock", Key, primary_key=True),
    Column("effect", Key, primary_key=True),
    Column("state", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("at", Whole, nullable=False),
)
