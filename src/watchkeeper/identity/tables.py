"""Enrolments, credentials, runs and tokens. Secrets are kept as SHA-256 only."""

from __future__ import annotations

from sqlalchemy import Column, Index, ScalarSelect, Table, Text, select

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
    Column("kind", Text),
    Column("parent", Key),
)
"""`kind` is `access` for a short-lived token got at `/oauth/token`, else NULL. `parent` is the
key or the hash of the secret that it was got with: what is revoked takes along what came of it."""
Index("credentials_by_agent", credentials.c.agent)

agent_keys = Table(
    "agent_keys",
    metadata,
    Column("key", Key, primary_key=True),
    Column("agent", Key, nullable=False),
    Column("algorithm", Text, nullable=False),
    Column("jwk", Text, nullable=False),
    Column("created_at", Whole, nullable=False),
    Column("expires_at", Whole, nullable=False),
    Column("revoked_at", Whole),
)
"""Public keys that agents sign client assertions with; `key` is the thumbprint (RFC 7638)."""
Index("agent_keys_by_agent", agent_keys.c.agent)

assertions = Table(
    "assertions",
    metadata,
    Column("issuer", Key, primary_key=True),
    Column("jti", Key, primary_key=True),
    Column("expires_at", Whole, nullable=False),
)
"""Client assertions that were taken, so that none is taken twice; `jti` is hashed."""

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("key", Key, primary_key=True),
    Column("plane", Key, nullable=False),
    Column("jwk", Text, nullable=False),
    Column("created_at", Whole, nullable=False),
    Column("retired_at", Whole),
    Column("published_until", Whole),
)
"""Public halves of the keys that planes sign with. One that was retired is published until the
last token that it signed has expired."""

token_uses = Table(
    "token_uses",
    metadata,
    Column("counter", Key, primary_key=True),
    Column("calls", Whole, nullable=False),
    Column("amount_micros", Whole, nullable=False),
    Column("expires_at", Whole, nullable=False),
)
"""What was used of authorization details that have a limit."""

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
    Column("on_behalf_of_proof", Text),
    Column("proof_hash", Key),
    Column("parent", Key),
    Column("lineage", Text),
    Column("scope", Text),
    Column("grants", Text),
    Column("proof_expires_at", Whole),
)
"""`on_behalf_of_proof` says by which issuer and subject it was proven (NULL: only claimed);
`proof_hash` is of the token it was opened with, a person's or its parent's; `proof_expires_at` is
when a person's ends, and no token of the run outlives it. `parent` is the run that opened it,
`lineage` the runs above, outermost first: a line `run agent version` for each.
`scope` narrows every token of the run; `grants` is what its parent's budget lent it."""
Index("runs_by_parent", runs.c.parent)
Index("runs_by_proof", runs.c.proof_hash)
Index("runs_by_agent", runs.c.agent, runs.c.run)
Index("runs_by_state", runs.c.state, runs.c.run)
Index("runs_by_end", runs.c.closed_at)

replay_runs = Table(
    "replay_runs",
    metadata,
    Column("run", Key, primary_key=True),
    Column("of_run", Key, nullable=False),
    Column("decision", Key, nullable=False),
    Column("by", Text, nullable=False),
)
"""Runs that replay others: which run, from which of its decisions on, and who asked for it."""
Index("replay_runs_by_run", replay_runs.c.of_run)
is_replay = select(replay_runs.c.run).where(replay_runs.c.run == runs.c.run).exists()

run_tokens = Table(
    "run_tokens",
    metadata,
    Column("secret_hash", Key, primary_key=True),
    Column("run", Key, nullable=False),
    Column("created_at", Whole, nullable=False),
    Column("expires_at", Whole, nullable=False),
    Column("revoked_at", Whole),
    Column("epoch", Whole, nullable=False),
    Column("scope", Text),
    Column("parent", Key),
)
"""`parent` is the hash of the token or credential, or the key, that it was got with; `scope`
as in `runs`."""
Index("run_tokens_by_parent", run_tokens.c.parent)
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
    Column("id", Key),
    Column("via", Text),
    Column("proof", Text),
)
Index("person_tokens_by_id", person_tokens.c.id)

login_challenges = Table(
    "login_challenges",
    metadata,
    Column("nonce_hash", Key, primary_key=True),
    Column("person", Text, nullable=False),
    Column("expires_at", Whole, nullable=False),
)


def agent_of(table: Table) -> ScalarSelect[str]:
    """Return what stands for the agent of a row that names only its run."""
    found = select(runs.c.agent).where(runs.c.run == table.c.run).correlate(table)
    return found.scalar_subquery()
