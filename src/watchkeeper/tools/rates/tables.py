"""One row for each rate limit that was ever spent: when its bucket would be full again."""

from __future__ import annotations

from sqlalchemy import Column, Table

from watchkeeper.store.metadata import Key, Whole, metadata

rates = Table(
    "rates",
    metadata,
    Column("rule", Key, primary_key=True),
    Column("arrival", Whole, nullable=False),
)
