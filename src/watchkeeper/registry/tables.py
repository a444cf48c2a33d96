"""Immutable versions of every applied document; one of each name is current."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from watchkeeper.store.metadata import metadata

documents = Table(
    "documents",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("current", Integer, nullable=False),
    Column("applied_at", BigInteger, nullable=False),
    Column("applied_by", Text, nullable=False),
)

Index("documents_current", documents.c.kind, documents.c.name, documents.c.current)
