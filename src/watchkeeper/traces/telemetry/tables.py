"""Calls that agents report, what was found about them, and who sends telemetry."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text, literal_column

from watchkeeper.store.metadata import Key, Whole, metadata

reported_calls = Table(
    "reported_calls",
    metadata,
    Column("key", Key, primary_key=True),
    Column("agent", Key, nullable=False),
    Column("trace", Key, nullable=False),
    Column("parent", Key),
    Column("run", Key),
    # tool or model
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("call", Text),
    Column("start", Whole, nullable=False),
    Column("end", Whole, nullable=False),
    Column("received_at", Whole, nullable=False),
    # waiting until it is looked for; seen, part (of one that is reported itself) or unseen
    Column("state", Text, nullable=False),
    Column("decision", Key),
)
"""Tool and model calls of agents' spans, by the span's key; `decision` is the gateway's own record
of the call, which is of no other."""
is_waiting = reported_calls.c.state == literal_column("'waiting'")
"""Written out, not bound: else no engine sees that the index answers it."""
Index(
    "reported_calls_waiting",
    reported_calls.c.agent,
    reported_calls.c.received_at,
    sqlite_where=is_waiting,
    postgresql_where=is_waiting,
)
Index("reported_calls_by_decision", reported_calls.c.decision)
Index("reported_calls_by_time", reported_calls.c.received_at)

telemetry_findings = Table(
    "telemetry_findings",
    metadata,
    Column("finding", Key, primary_key=True),
    # bypass or unknown_agent
    Column("kind", Text, nullable=False),
    Column("agent", Key, nullable=False),
    Column("subject", Key, nullable=False),
    Column("count", Whole, nullable=False),
    Column("first_at", Whole, nullable=False),
    Column("last_at", Whole, nullable=False),
    Column("run", Key),
    Column("trace", Key),
    Column("dismissed_at", Whole),
    Column("dismissed_by", Text),
    Column("reason", Text),
)
"""One for each agent and what it did past the gateways; `run` and `trace` are of the last."""
Index(
    "telemetry_findings_of",
    telemetry_findings.c.agent,
    telemetry_findings.c.kind,
    telemetry_findings.c.subject,
    unique=True,
)

telemetry_senders = Table(
    "telemetry_senders",
    metadata,
    Column("agent", Key, primary_key=True),
    Column("spans", Whole, nullable=False),
    Column("joined", Whole, nullable=False),
    Column("rejected", Whole, nullable=False),
    Column("logs", Whole, nullable=False),
    Column("points", Whole, nullable=False),
    Column("last_at", Whole, nullable=False),
)
"""What each agent has sent so far: `joined` spans were of a run when they came; of log records
and metrics nothing but their number is kept."""
