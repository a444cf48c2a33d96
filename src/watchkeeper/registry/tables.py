"""Immutable versions of every applied document; one of each name is current."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text

from watchkeeper.store.metadata import Key, Whole, metadata

documents = Table(
    "documents",
    metadata,
    Column("kind", Key, primary_key=True),
    Column("name", Key, primary_key=True),
    Column("version", Whole, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("current", Whole, nullable=False),
    Column("applied_at", Whole, nullable=False),
    Column("applied_by", Text, nullable=False),
)

Index("documents_current", documents.c.kind, documents.c.name, documents.c.current)
