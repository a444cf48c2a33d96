"""Sealed secrets, and which key seals them."""

from __future__ import annotations

from sqlalchemy import Column, LargeBinary, Table, Text

from watchkeeper.store.metadata import Key, Whole, metadata

sealed_secrets = Table(
    "sealed_secrets",
    metadata,
    Column("name", Key, primary_key=True),
    Column("version", Whole, nullable=False),
    Column("key", Text, nullable=False),
    # a removed secret keeps its row without a value, so that its versions go on rising
    Column("nonce", LargeBinary),
    Column("ciphertext", LargeBinary),
    Column("created_at", Whole, nullable=False),
    Column("rotated_at", Whole, nullable=False),
    Column("used_at", Whole),
    Column("removed_at", Whole),
)

sealing_state = Table(
    "sealing_state",
    metadata,
    Column("id", Whole, primary_key=True, autoincrement=False),
    Column("key", Text, nullable=False),
    Column("changes", Whole, nullable=False),
)
"""One row: the id of the key in use. Whoever seals updates it, which keeps planes in order."""
