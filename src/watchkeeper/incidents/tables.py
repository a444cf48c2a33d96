"""Incidents, and the locks that belong to them; what they hold is in `store.retention`."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text, literal_column

from watchkeeper.store.metadata import Key, Whole, metadata

incidents = Table(
    "incidents",
    metadata,
    Column("incident", Key, primary_key=True),
    Column("title", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("team", Text, nullable=False),
    Column("opened_at", Whole, nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("closed_at", Whole),
    Column("closed_by", Text),
    Column("closed_why", Text),
    Column("since", Whole, nullable=False),
    # the event that opened it, and the first of its first lock
    Column("sequence", Whole, nullable=False),
    Column("first", Whole, nullable=False),
    Column("last", Whole),
    Column("notes", Whole, nullable=False),
)
"""`last` is the event that closed it; NULL while it is open."""
is_open = incidents.c.state == literal_column("'open'")
"""Written out, not bound, as for every index over some rows."""
Index("incidents_open", incidents.c.incident, sqlite_where=is_open, postgresql_where=is_open)

incident_locks = Table(
    "incident_locks",
    metadata,
    Column("incident", Key, primary_key=True),
    Column("lock", Key, primary_key=True),
    Column("joined", Text, nullable=False),
    Column("joined_at", Whole, nullable=False),
    Column("joined_by", Text, nullable=False),
    Column("sequence", Whole, nullable=False),
    Column("left_at", Whole),
)
"""`sequence` is the event by which the lock came to belong there; a lock that was moved stays
with `left_at`."""
Index("incident_locks_by_lock", incident_locks.c.lock)
