"""Breakers that ever tripped, what the detectors remember, and how far the ledger was looked at."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text

from watchkeeper.store.cursor import Cursor
from watchkeeper.store.metadata import Key, Whole, metadata

breakers = Table(
    "breakers",
    metadata,
    Column("breaker", Key, primary_key=True),
    Column("document", Text, nullable=False),
    Column("agent", Key, nullable=False),
    Column("version", Whole, nullable=False),
    Column("state", Text, nullable=False),
    Column("detector", Text),
    Column("reason", Text, nullable=False),
    Column("run", Text),
    Column("about", Text),
    Column("opened_at", Whole),
    Column("since", Whole),
    Column("probe", Text),
    Column("refused", Whole, nullable=False),
    Column("trips", Whole, nullable=False),
)
Index("breakers_by_agent", breakers.c.agent)

watches = Table(
    "breaker_watches",
    metadata,
    Column("breaker", Key, primary_key=True),
    Column("version", Whole, primary_key=True),
    Column("kept", Text, nullable=False),
)

breaker_cursor = Cursor("breaker_cursor")
"""The last event that the detectors counted in, as far as that is kept."""
