"""Prices that were found in the price data, each version of them."""

from __future__ import annotations

from sqlalchemy import Column, Table, Text

from watchkeeper.store.metadata import Key, Whole, metadata

model_prices = Table(
    "model_prices",
    metadata,
    Column("provider", Key, primary_key=True),
    Column("model", Key, primary_key=True),
    Column("version", Whole, primary_key=True, autoincrement=False),
    # the data that it was found in, and under which name or address
    Column("source", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("valid_from", Whole, nullable=False),
    # rates as JSON, all of them integers: micro-dollars per million tokens
    Column("price", Text, nullable=False),
    Column("noted_at", Whole, nullable=False),
)
"""Nothing is changed or removed: the newest version counts whose time has come."""
