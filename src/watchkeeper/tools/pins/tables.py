"""Definitions of upstream tools: the pinned one of each and what is offered instead."""

from __future__ import annotations

from sqlalchemy import Column, Table, Text

from watchkeeper.store.metadata import Key, Whole, metadata

tool_pins = Table(
    "tool_pins",
    metadata,
    Column("upstream", Key, primary_key=True),
    Column("tool", Key, primary_key=True),
    Column("state", Text, nullable=False),
    Column("since", Whole, nullable=False),
    Column("similar_to", Text),
    Column("pinned_digest", Text),
    Column("pinned_text", Text),
    Column("pinned_by", Text),
    Column("pinned_how", Text),
    Column("pinned_at", Whole),
    Column("observed_digest", Text),
    Column("observed_text", Text),
    Column("observed_problem", Text),
    Column("rejected", Text),
    Column("rejected_by", Text),
    Column("rejected_why", Text),
)
"""`…_text` is a definition's canonical form; `observed_…` is empty where it is the pinned one
or nothing is listed (state `gone`)."""

listed_upstreams = Table(
    "listed_upstreams",
    metadata,
    Column("upstream", Key, primary_key=True),
    Column("first_at", Whole, nullable=False),
)
"""Upstreams that were listed once: what they offer from then on is compared."""
