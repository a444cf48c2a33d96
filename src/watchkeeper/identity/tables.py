"""Enrolments, credentials, runs and tokens. Secrets are kept as SHA-256 only."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from watchkeeper.store.metadata import metadata

enrolments = Table(
    "enrolments",
    metadata,
    Column("secret_hash", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("redeemed_at", BigInteger),
)

credentials = Table(
    "credentials",
    metadata,
    Column("secret_hash", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)

runs = Table(
    "runs",
    metadata,
    Column("run", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("goal", Text, nullable=False),
    Column("on_behalf_of", Text),
    Column("object_kind", Text),
    Column("object_id", Text),
    Column("environment", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
    Column("summary", Text),
    Column("why", Text),
)
Index("runs_by_agent", runs.c.agent, runs.c.run)
Index("runs_by_state", runs.c.state, runs.c.run)

run_tokens = Table(
    "run_tokens",
    metadata,
    Column("secret_hash", Text, primary_key=True),
    Column("run", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("epoch", Integer, nullable=False),
)
Index("run_tokens_by_run", run_tokens.c.run)
Index("run_tokens_by_expiry", run_tokens.c.expires_at)

person_tokens = Table(
    "person_tokens",
    metadata,
    Column("secret_hash", Text, primary_key=True),
    Column("person", Text, nullable=False),
    Column("permission", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)
