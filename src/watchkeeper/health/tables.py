"""What is kept of runs' lives beside what they did: heartbeats, and what is alarmed."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text

from watchkeeper.store.metadata import Key, Whole, metadata

run_health = Table(
    "run_health",
    metadata,
    Column("run", Key, primary_key=True),
    Column("agent", Key, nullable=False),
    Column("heartbeat_at", Whole),
    # silent, lost or stuck; nothing is alarmed where it is NULL
    Column("alarm", Text),
    Column("why", Text),
    Column("since", Whole),
    Column("excused_at", Whole, nullable=False, default=0),
    # whether it had an excuse when it was last looked at
    Column("excused", Whole, nullable=False, default=0),
)
"""Of open runs; a row goes when its run has ended."""
Index("run_health_by_agent", run_health.c.agent)
is_alarmed = run_health.c.alarm.is_not(None)
Index(
    "run_health_alarmed",
    run_health.c.agent,
    run_health.c.run,
    sqlite_where=is_alarmed,
    postgresql_where=is_alarmed,
)

agent_health = Table(
    "agent_health",
    metadata,
    Column("agent", Key, primary_key=True),
    Column("watched_since", Whole, nullable=False),
    # when it was found that it does nothing; NULL: it does
    Column("silent_at", Whole),
    Column("why", Text),
)
"""Of agents whose contracts expect something of them every so often."""
