"""Caps that people put in place of the documents', and what was said of a budget already."""

from __future__ import annotations

from sqlalchemy import Column, Table, Text

from watchkeeper.store.metadata import Key, Whole, metadata

cap_changes = Table(
    "budget_cap_changes",
    metadata,
    Column("budget", Key, primary_key=True),
    Column("cap", Whole, nullable=False),
    Column("until", Whole),
    Column("reason", Text, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", Whole, nullable=False),
)
"""One row for each budget whose cap is not the documents' own now; `until` empty: no end is set."""

levels = Table(
    "budget_levels",
    metadata,
    Column("scope", Key, primary_key=True),
    Column("period", Key, primary_key=True),
    Column("period_key", Key, primary_key=True),
    Column("measure", Key, primary_key=True),
    Column("level", Whole, primary_key=True),
    Column("does", Key, primary_key=True),
    Column("at", Whole, nullable=False),
    Column("cap", Whole),
)
"""What was done at a level of a budget in a period: `warn` or `pause`, each once under one `cap`
(with top-ups), and again only under a higher one."""
