"""Balances (one row per account, a column per measure), holds, and who draws on what."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text

from watchkeeper.budgets.model import MEASURES, NO_CAP
from watchkeeper.store.metadata import Key, Whole, metadata


def _per_measure(prefix: str, default: int = 0) -> list[Column[int]]:
    return [
        Column(f"{prefix}_{measure}", Whole, nullable=False, default=default)
        for measure in MEASURES
    ]


balances = Table(
    "budget_balances",
    metadata,
    Column("scope", Key, primary_key=True),
    Column("period", Key, primary_key=True),
    Column("period_key", Key, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("opened_at", Whole, nullable=False),
    Column("bucket", Whole, nullable=False),
    *_per_measure("posted"),
    *_per_measure("held"),
    *_per_measure("cap", NO_CAP),
    *_per_measure("topped"),
    *_per_measure("refused"),
    *_per_measure("asked"),
    *_per_measure("recent"),
    *_per_measure("earlier"),
)
"""`cap` is the cap last applied; `refused` counts refusals, `asked` is what the last one
asked for since the last top-up. `recent` was posted in clock hour `bucket`, `earlier` in
the hour before it."""
Index("ix_budget_balances_period_opened_at", balances.c.period, balances.c.opened_at)

holds = Table(
    "budget_holds",
    metadata,
    Column("decision", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("accounts", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at", Whole, nullable=False),
    Column("expires_at", Whole, nullable=False),
    Column("resolved_at", Whole),
    Column("touches", Text),
    *_per_measure("reserved"),
    *_per_measure("posted"),
)
"""`accounts` has a line `<scope> <period> <period key>` for each balance it is held in. `touches`
is which of them (`0,2`) count the business object that follows: that one is in `budget_members`,
and not among the objects reserved and posted here.
"""
Index(
    "ix_budget_holds_live",
    holds.c.expires_at,
    sqlite_where=holds.c.state == "live",
    postgresql_where=holds.c.state == "live",
)

members = Table(
    "budget_members",
    metadata,
    Column("scope", Key, primary_key=True),
    Column("period", Key, primary_key=True),
    Column("period_key", Key, primary_key=True),
    Column("object", Key, primary_key=True),
    Column("uses", Whole, nullable=False),
)
"""Which business objects a balance counts, and how many actions on each were not voided."""

calls = Table(
    "budget_calls",
    metadata,
    Column("run", Key, primary_key=True),
    Column("call", Key, primary_key=True),
)
"""The digests of the calls that a run was permitted, while a cap on retries covered it."""

spenders = Table(
    "budget_spenders",
    metadata,
    Column("scope", Key, primary_key=True),
    Column("period", Key, primary_key=True),
    Column("period_key", Key, primary_key=True),
    Column("agent", Text, primary_key=True),
    Column("actions", Whole, nullable=False),
    *_per_measure("posted"),
)
"""What each agent posted to accounts that several agents share."""
