"""What people later said of decisions."""

from __future__ import annotations

from sqlalchemy import Column, Table, Text

from watchkeeper.store.metadata import Key, Whole, metadata

judgements = Table(
    "judgements",
    metadata,
    Column("request", Key, primary_key=True),
    Column("person_key", Key, primary_key=True),
    Column("person", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("note", Text),
    Column("at", Whole, nullable=False),
)
"""One for each person: who thinks better of it says so again."""
