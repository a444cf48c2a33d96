"""Locks and receipts."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from watchkeeper.store.metadata import metadata

locks = Table(
    "locks",
    metadata,
    Column("lock", Text, primary_key=True),
    Column("target_kind", Text, nullable=False),
    Column("target_name", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("epoch", Integer, nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
    Column("lifted_at", BigInteger),
    Column("lifted_by", Text),
)
Index("locks_in_force", locks.c.epoch, sqlite_where=locks.c.lifted_at.is_(None),
      postgresql_where=locks.c.lifted_at.is_(None))  # fmt: skip

receipts = Table(
    "receipts",
    metadata,
    Column("lock", Text, primary_key=True),
    Column("effect", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)
