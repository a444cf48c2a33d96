"""Decisions with their outcomes, and what each agent did per five minutes."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text, func, literal_column

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.store.metadata import Key, Whole, metadata

decisions = Table(
    "decisions",
    metadata,
    Column("decision", Key, primary_key=True),
    Column("at", Whole, nullable=False),
    Column("agent", Key, nullable=False),
    Column("run", Key, nullable=False),
    Column("version", Whole, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("arguments", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("request", Text),
    Column("idempotency_key", Text),
    Column("epoch", Whole, nullable=False),
    Column("outcome", Text),
    Column("settled_at", Whole),
    Column("input_tokens", Whole, nullable=False),
    Column("output_tokens", Whole, nullable=False),
    Column("cost_micros", Whole, nullable=False),
    Column("result_digest", Text),
    Column("error", Text),
    # plane or agent: who carries it out
    Column("performer", Text),
    # what was called and with what; the arguments themselves are kept without what must not be
    Column("call_digest", Text),
    # classes of data, by name: found in the arguments, found in the result, and those of the
    # result that the agent was not given
    Column("classes_in", Text),
    Column("classes_out", Text),
    Column("classes_redacted", Text),
    # what was put to the policies, as canonical JSON: enough to put it to others later
    Column("question", Text),
    # the model that answered, where it was not the one that was called
    Column("model", Text),
    # what policy sets in observe or warn would have said otherwise, as JSON
    Column("would", Text),
    # where a model call went, by whom it was answered and why there
    Column("provider", Text),
    Column("provider_model", Text),
    Column("route_cause", Text),
    Column("route_reason", Text),
    Column("cached", Whole),
    # what costs are booked to, as it was when the action was decided
    Column("team", Text),
    Column("project", Text),
    Column("person", Text),
    # the business object, as KIND/ID
    Column("object", Text),
    Column("value_micros", Whole),
    Column("cache_read_tokens", Whole),
    Column("cache_write_tokens", Whole),
    Column("retries", Whole),
    Column("first_token_ms", Whole),
    # the run's figures that routing looked at, as JSON
    Column("route_seen", Text),
    # the risk of what a tool call asks for, by its place among the classes
    Column("risk", Whole),
)
Index("decisions_by_run", decisions.c.run, decisions.c.decision)
Index(
    "decisions_would",
    decisions.c.decision,
    sqlite_where=decisions.c.would.is_not(None),
    postgresql_where=decisions.c.would.is_not(None),
)
has_value = decisions.c.value_micros > literal_column("0")
has_risk = decisions.c.risk.is_not(None)
# of tool calls alone: what routing asks of a run is found without reading the run
Index(
    "decisions_by_value",
    decisions.c.run,
    decisions.c.value_micros,
    sqlite_where=has_value,
    postgresql_where=has_value,
)
Index(
    "decisions_by_risk",
    decisions.c.run,
    decisions.c.risk,
    sqlite_where=has_risk,
    postgresql_where=has_risk,
)
Index("decisions_by_agent", decisions.c.agent, decisions.c.decision)
is_tool = decisions.c.kind == literal_column("'tool'")
# with all that is counted of a tool
Index(
    "decisions_by_name",
    decisions.c.kind,
    decisions.c.name,
    decisions.c.decision,
    decisions.c.verdict,
    sqlite_where=is_tool,
    postgresql_where=is_tool,
)
is_permitted = decisions.c.verdict == literal_column("'permit'")
"""Written out, not bound: else no engine sees that an index over such rows answers it."""
_has_key = is_permitted & decisions.c.idempotency_key.is_not(None)
Index(
    "decisions_by_key",
    decisions.c.run,
    decisions.c.idempotency_key,
    unique=True,
    sqlite_where=_has_key,
    postgresql_where=_has_key,
)
is_model = decisions.c.kind == literal_column("'model'")
has_failed = decisions.c.outcome == literal_column("'failed'")
answering = func.coalesce(decisions.c.model, decisions.c.name)
"""The logical model that answered; where no other did, the one that was called."""
is_open = is_permitted & decisions.c.settled_at.is_(None)
"""What was permitted and has not ended: few at a time."""
Index("decisions_open", decisions.c.at, sqlite_where=is_open, postgresql_where=is_open)

BUCKET_US = 300 * MICROSECONDS
"""Width of an activity bucket: five minutes."""

activity = Table(
    "activity",
    metadata,
    Column("agent", Key, primary_key=True),
    Column("bucket", Whole, primary_key=True),
    Column("permitted", Whole, nullable=False),
    Column("denied", Whole, nullable=False),
    Column("held", Whole, nullable=False),
    Column("spend_micros", Whole, nullable=False),
    Column("last_at", Whole, nullable=False),
)
"""Sums that the fleet is shown from; derivable from `decisions`."""
Index("activity_by_bucket", activity.c.bucket)
