"""Deliveries, how far the ledger has been routed, and targets that want no more."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text

from watchkeeper.store.cursor import Cursor
from watchkeeper.store.metadata import Key, Whole, metadata

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Key, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("target", Key, nullable=False),
    Column("recipient", Text),
    Column("request", Key),
    Column("agent", Text),
    Column("run", Text),
    Column("event", Whole),
    Column("state", Text, nullable=False),
    Column("attempts", Whole, nullable=False),
    Column("next_at", Whole),
    Column("epoch", Whole, nullable=False),
    Column("claimed_until", Whole),
    Column("last_status", Whole),
    Column("last_error", Text),
    Column("created_at", Whole, nullable=False),
    Column("sent_at", Whole),
    Column("payload", Text, nullable=False),
)
_PENDING = deliveries.c.state == "pending"
_SENDING = deliveries.c.state == "sending"
Index(
    "ix_deliveries_pending",
    deliveries.c.next_at,
    deliveries.c.id,
    deliveries.c.kind,
    deliveries.c.target,
    sqlite_where=_PENDING,
    postgresql_where=_PENDING,
)
Index(
    "ix_deliveries_sending",
    deliveries.c.claimed_until,
    sqlite_where=_SENDING,
    postgresql_where=_SENDING,
)
# Not over every state: SQLite would look for what is pending in it, and sort that.
_LOST = deliveries.c.state.in_(["dead", "unknown"])
Index(
    "ix_deliveries_lost",
    deliveries.c.kind,
    deliveries.c.target,
    deliveries.c.state,
    sqlite_where=_LOST,
    postgresql_where=_LOST,
)
Index("ix_deliveries_target_id", deliveries.c.target, deliveries.c.id)
Index("ix_deliveries_request", deliveries.c.request)

outbox_cursor = Cursor("outbox_cursor")
"""The last event that was routed."""

targets_off = Table(
    "targets_off",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("target", Key, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("since", Whole, nullable=False),
)
"""Targets that said they are gone; `digest` is of the document that was in force then."""
