"""The stage that each policy set is in; one without a row is enforced."""

from __future__ import annotations

from sqlalchemy import Column, Table, Text

from watchkeeper.store.metadata import Key, Whole, metadata

policy_stages = Table(
    "policy_stages",
    metadata,
    Column("name", Key, primary_key=True),
    Column("stage", Text, nullable=False),
    Column("since", Whole, nullable=False),
    Column("set_by", Text, nullable=False),
)
