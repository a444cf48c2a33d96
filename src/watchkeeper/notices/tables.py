"""When whom was told by which channel, and what was counted in a message beside what it tells."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table

from watchkeeper.store.metadata import Key, Whole, metadata

notice_log = Table(
    "notice_log",
    metadata,
    Column("id", Key, primary_key=True),
    Column("channel", Key, nullable=False),
    Column("recipient", Key, nullable=False),
    Column("urgent", Whole, nullable=False),
    Column("at", Whole, nullable=False),
)
"""One row for each message that is handed over or was; `recipient` is empty for a channel alone."""
Index("ix_notice_log_channel_at", notice_log.c.channel, notice_log.c.at)

notice_counted = Table(
    "notice_counted",
    metadata,
    Column("delivery", Key, primary_key=True),
    Column("slot", Key, nullable=False),
    Column("at", Whole, nullable=False),
)
"""Deliveries that a message of several told of, before their own turn came."""
Index("ix_notice_counted_slot", notice_counted.c.slot)
