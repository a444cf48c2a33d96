"""Erasures: which began, what is left to be done, and which ended."""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, Table, Text

from watchkeeper.store.metadata import Key, Whole, metadata

erasures = Table(
    "erasures",
    metadata,
    Column("erasure", Key, primary_key=True),
    Column("subject", Key, nullable=False),
    Column("actor", Text, nullable=False),
    Column("plan", LargeBinary),
    Column("began_at", Whole, nullable=False),
    Column("began", Whole, nullable=False),
    Column("swept", Whole, nullable=False),
    Column("ended_at", Whole),
    Column("ended", Whole),
)
"""`plan` is what is looked for, sealed with the vault's key, and gone when it has ended; `began`
and `ended` are entries; `swept` counts the rows that were written over or dropped."""
is_unfinished = erasures.c.ended_at.is_(None)
Index(
    "erasures_unfinished",
    erasures.c.erasure,
    sqlite_where=is_unfinished,
    postgresql_where=is_unfinished,
)
