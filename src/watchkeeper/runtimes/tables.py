"""What runtimes last said: how they do, what runs there, and who waits for an answer."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text

from watchkeeper.store.metadata import Key, Whole, metadata

runtime_states = Table(
    "runtime_states",
    metadata,
    Column("runtime", Key, primary_key=True),
    Column("answers", Text, nullable=False),
    Column("problem", Text),
    Column("version", Text),
    Column("latency_us", Whole),
    Column("seen_at", Whole),
    Column("looked_at", Whole),
    Column("listed_at", Whole),
    Column("complete", Whole, nullable=False),
    Column("failures", Whole, nullable=False),
    Column("offered", Text, nullable=False),
)
"""`answers` is its health when last asked; `listed_at` when it last said what runs there;
`failures` counts those in a row; `offered` is JSON `[[id, name], …]`."""

remote_runs = Table(
    "remote_runs",
    metadata,
    Column("runtime", Key, primary_key=True),
    Column("id", Key, primary_key=True),
    Column("thread", Text),
    Column("offered", Text),
    Column("agent", Key),
    Column("run", Key),
    Column("standing", Text, nullable=False),
    Column("why", Text),
    Column("state", Text, nullable=False),
    Column("said", Text, nullable=False),
    Column("waiting_on", Text),
    Column("started_at", Whole),
    Column("updated_at", Whole),
    Column("first_seen_at", Whole, nullable=False),
    Column("missing_since", Whole),
    Column("lost_at", Whole),
    Column("ended_at", Whole),
    Column("adopted_by", Text),
    Column("adopted_at", Whole),
    Column("reason", Text),
)
"""Runs as their runtimes tell of them. `why` says why a rogue one is; `missing_since`: its runtime
does not know it any more, and did not say how it ended; `lost_at`: nobody expects it back;
`reason` is of its adoption. A row is there until a day after it ended."""
_LIVE = remote_runs.c.ended_at.is_(None)
Index(
    "ix_remote_runs_live",
    remote_runs.c.runtime,
    remote_runs.c.id,
    sqlite_where=_LIVE,
    postgresql_where=_LIVE,
)
Index("ix_remote_runs_run", remote_runs.c.run)
Index("ix_remote_runs_ended_at", remote_runs.c.ended_at)

interrupts = Table(
    "runtime_interrupts",
    metadata,
    Column("request", Key, primary_key=True),
    Column("runtime", Key, nullable=False),
    Column("run_id", Key, nullable=False),
    Column("interrupt", Key, nullable=False),
    Column("state", Text, nullable=False),
    Column("opened_at", Whole, nullable=False),
    Column("attempts", Whole, nullable=False),
    Column("next_at", Whole),
    Column("ended_at", Whole),
    Column("detail", Text),
    Column("asked", Text, nullable=False),
)
"""Interrupts of governed runs, each with its approval request. `state` is pending, decided,
applying, applied, gone or failed; `asked` is JSON: the interrupt as it came."""
Index(
    "uq_runtime_interrupts",
    interrupts.c.runtime,
    interrupts.c.run_id,
    interrupts.c.interrupt,
    unique=True,
)
_OPEN = interrupts.c.ended_at.is_(None)
Index(
    "ix_runtime_interrupts_open",
    interrupts.c.runtime,
    interrupts.c.request,
    sqlite_where=_OPEN,
    postgresql_where=_OPEN,
)
