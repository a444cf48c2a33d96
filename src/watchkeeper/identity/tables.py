"""Enrolments, credentials, runs and tokens. Secrets are kept as SHA-256 only."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text

from watchkeeper.store.metadata import Key, Whole, metadata

enrolments = Table(
    "enrolments",
    metadata,
    Column("secret_hash", Key, primary_key=True),
    Column("agent", Key, nullable=False),
    Column("created_at", Whole, nullable=False),
    Column("expires_at", Whole, nullable=False),
    Column("redeemed_at", Whole),
)

credentials = Table(
    "credentials",
    metadata,
    Column("secret_hash", Key, primary_key=True),
    Column("agent", Key, nullable=False),
    Column("created_at", Whole, nullable=False),
    Column("expires_at", Whole, nullable=False),
    Column("revoked_at", Whole),
)

runs = Table(
    "runs",
    metadata,
    Column("run", Key, primary_key=True),
    Column("agent", Key, nullable=False),
    Column("version", Whole, nullable=False),
    Column("state", Text, nullable=False),
    Column("goal", Text, nullable=False),
    Column("on_behalf_of", Text),
    Column("object_kind", Text),
    Column("object_id", Text),
    Column("environment", Text, nullable=False),
    Column("opened_at", Whole, nullable=False),
    Column("closed_at", Whole),
    Column("summary", Text),
    Column("why", Text),
)
Index("runs_by_agent", runs.c.agent, runs.c.run)
Index("runs_by_state", runs.c.state, runs.c.run)

run_tokens = Table(
    "run_tokens",
    metadata,
    Column("secret_hash", Key, primary_key=True),
    Column("run", Key, nullable=False),
    Column("created_at", Whole, nullable=False),
    Column("expires_at", Whole, nullable=False),
    Column("revoked_at", Whole),
    Column("epoch", Whole, nullable=False),
)
Index("run_tokens_by_run", run_tokens.c.run)
Index("run_tokens_by_expiry", run_tokens.c.expires_at)

person_tokens = Table(
    "person_tokens",
    metadata,
    Column("secret_hash", Key, primary_key=True),
    Column("person", Text, nullable=False),
    Column("permission", Text, nullable=False),
    Column("created_at", Whole, nullable=False),
    Column("expires_at", Whole, nullable=False),
    Column("revoked_at", Whole),
)
