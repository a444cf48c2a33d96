"""What agents' metrics say of their tokens and costs, beside what the plane metered."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text, literal_column

from watchkeeper.store.metadata import Key, Whole, metadata

usage_series = Table(
    "usage_series",
    metadata,
    Column("agent", Key, primary_key=True),
    Column("series", Key, primary_key=True),
    Column("at", Whole, nullable=False),
    Column("amount", Whole, nullable=False),
    Column("received_at", Whole, nullable=False),
)
"""The last point of each series of an agent's metrics."""
Index("usage_series_by_time", usage_series.c.received_at)

reported_usage = Table(
    "reported_usage",
    metadata,
    Column("agent", Key, primary_key=True),
    # empty: of no run that is known
    Column("run", Key, primary_key=True),
    Column("metric", Key, primary_key=True),
    # where it is of no run, the hour that it came in; else 0
    Column("hour", Whole, primary_key=True),
    Column("since", Whole, nullable=False),
    Column("last_at", Whole, nullable=False),
    Column("received_at", Whole, nullable=False),
    Column("input_tokens", Whole, nullable=False),
    Column("output_tokens", Whole, nullable=False),
    Column("cost_micros", Whole, nullable=False),
    # as it was looked at last; nothing where that was too much to look through
    Column("metered_tokens", Whole),
    Column("metered_micros", Whole),
    # how many tokens beyond what was metered a finding tells of
    Column("told", Whole, nullable=False),
    # waiting until it is looked at, then looked
    Column("state", Text, nullable=False),
)
"""Sums of what an agent's metrics say, by run, or by hour where no run is known."""
is_waiting = reported_usage.c.state == literal_column("'waiting'")
Index(
    "reported_usage_waiting",
    reported_usage.c.agent,
    reported_usage.c.received_at,
    sqlite_where=is_waiting,
    postgresql_where=is_waiting,
)
Index("reported_usage_by_time", reported_usage.c.received_at)
