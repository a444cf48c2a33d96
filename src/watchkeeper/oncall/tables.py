"""Overrides of schedules."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text

from watchkeeper.store.metadata import Key, Whole, metadata

overrides = Table(
    "oncall_overrides",
    metadata,
    Column("override", Key, primary_key=True),
    Column("schedule", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("add_person", Text),
    Column("remove_person", Text),
    Column("start_at", Whole, nullable=False),
    Column("end_at", Whole, nullable=False),
    Column("until", Whole, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Whole, nullable=False),
    Column("ended_by", Text),
    Column("ended_at", Whole),
)
"""`until` is when it stops to count: `end_at`, or when somebody ended it, be it before it began."""
Index("oncall_overrides_until", overrides.c.until)
