"""Requests with their requirement and grant, votes, and who has looked."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text, literal_column

from watchkeeper.store.metadata import Key, Whole, metadata

requests = Table(
    "requests",
    metadata,
    Column("request", Key, primary_key=True),
    Column("state", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("agent_version", Whole, nullable=False),
    Column("run", Text, nullable=False),
    Column("on_behalf_of", Text),
    Column("tool", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("asks", Text, nullable=False),
    Column("risk", Text, nullable=False),
    Column("object_kind", Text),
    Column("object_id", Text),
    Column("amount_micros", Whole),
    Column("blast_source", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("epoch", Whole, nullable=False),
    Column("quorum", Whole, nullable=False),
    Column("approvals", Whole, nullable=False),
    Column("levels", Text, nullable=False),
    Column("remind_every_seconds", Whole),
    Column("timeout_outcome", Text, nullable=False),
    Column("grant_seconds", Whole, nullable=False),
    Column("excluded", Text, nullable=False),
    Column("level", Whole, nullable=False),
    Column("level_entered_at", Whole, nullable=False),
    Column("reminders", Whole, nullable=False),
    Column("role", Text, nullable=False),
    Column("asked", Text, nullable=False),
    Column("created_at", Whole, nullable=False),
    Column("decide_by", Whole, nullable=False),
    Column("next_at", Whole),
    Column("decided_by", Text),
    Column("decided_at", Whole),
    Column("decided_why", Text),
    Column("grant_expires_at", Whole),
    Column("redeemed_by", Text),
    Column("redeemed_at", Whole),
    Column("ended_at", Whole),
    Column("search", Text, nullable=False),
    Column("goal", Text, nullable=False),
    Column("canonical", Text, nullable=False),
    Column("arguments", Text, nullable=False),
    Column("changes", Text, nullable=False),
    Column("blast_radius", Text, nullable=False),
    Column("rollback", Text, nullable=False),
    Column("reversible", Whole),
    Column("rule_text", Text, nullable=False),
    Column("explanation", Text),
    Column("kind", Text),
    Column("groups", Text),
    Column("escalation", Text),
    Column("deciding", Text),
    Column("round", Whole),
    Column("counts_from", Whole),
    Column("acknowledged_by", Text),
    Column("acknowledged_at", Whole),
    Column("acknowledged_until", Whole),
    Column("superseded_by", Text),
    Column("supersedes", Text),
    Column("break_glass", Whole),
    Column("review_due_at", Whole),
    Column("reviewed_by", Text),
    Column("review_verdict", Text),
    Column("review_note", Text),
    Column("standing", Text),
    Column("callback", Text),
    Column("caller_gone", Whole),
    Column("alike", Text),
    Column("covers", Text),
    Column("call_digest", Text),
    Column("budget", Text),
)
"""`levels` is JSON `[[role, after_seconds], …]`; `excluded` and `asked` are JSON lists;
`escalation` is the whole policy as it was; `counts_from` is when the round began, plus pauses;
`call_digest` is of the call that the agent sent, whatever it would run; `budget` is the budget
and period that a top-up is asked for;
`search` is what the free-text filter looks in, in lower case. What may be long stands
last, so that lists need not read past it."""

_OPEN = requests.c.state.in_(("pending", "approved"))
Index(
    "uq_requests_open_action",
    requests.c.run,
    requests.c.tool,
    requests.c.digest,
    unique=True,
    sqlite_where=_OPEN,
    postgresql_where=_OPEN,
)
Index(
    "ix_requests_open_call",
    requests.c.run,
    requests.c.call_digest,
    sqlite_where=_OPEN,
    postgresql_where=_OPEN,
)
Index(
    "ix_requests_budget",
    requests.c.budget,
    requests.c.request,
    sqlite_where=requests.c.budget.is_not(None),
    postgresql_where=requests.c.budget.is_not(None),
)
Index("ix_requests_run_digest", requests.c.run, requests.c.digest)
Index("ix_requests_run_tool_request", requests.c.run, requests.c.tool, requests.c.request)
_TO_REVIEW = (requests.c.break_glass == literal_column("1")) & requests.c.reviewed_by.is_(None)
Index(
    "ix_requests_to_review",
    requests.c.review_due_at,
    requests.c.request,
    sqlite_where=_TO_REVIEW,
    postgresql_where=_TO_REVIEW,
)
_PENDING = requests.c.state == "pending"
# On SQLite it covers all that lists filter by and counts look at; on PostgreSQL an entry of
# an index is limited to 2.7 KB, which such texts may exceed.
Index(
    "ix_requests_pending",
    requests.c.decide_by,
    requests.c.request,
    requests.c.role,
    requests.c.agent,
    requests.c.level,
    requests.c.approvals,
    requests.c.asked,
    requests.c.excluded,
    requests.c.search,
    sqlite_where=_PENDING,
).ddl_if(dialect="sqlite")
Index(
    "ix_requests_pending_by_deadline",
    requests.c.decide_by,
    requests.c.request,
    postgresql_where=_PENDING,
).ddl_if(dialect="postgresql")
Index(
    "ix_requests_pending_by_agent",
    requests.c.agent,
    sqlite_where=_PENDING,
    postgresql_where=_PENDING,
)
Index("ix_requests_decided_at_request", requests.c.decided_at, requests.c.request)
Index(
    "ix_requests_agent_tool_created_at",
    requests.c.agent,
    requests.c.tool,
    requests.c.created_at,
)

votes = Table(
    "votes",
    metadata,
    Column("request", Text, primary_key=True),
    Column("person_key", Text, primary_key=True),
    Column("person", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("reason", Text),
    Column("digest", Text, nullable=False),
    Column("view_ms", Whole),
    Column("at", Whole, nullable=False),
    Column("acting_for", Text),
    Column("roles", Text),
    Column("signature", Text),
    Column("key", Text),
    Column("channel", Text),
)
"""Immutable: one vote of one person on one digest, with the role it was cast in. `acting_for`
is `person/KEY`; `roles` is JSON: which asked roles were `held` then, which of them were `backed` by
documents, and who had `documents` of their own."""

told = Table(
    "approvals_told",
    metadata,
    Column("role", Key, primary_key=True),
    Column("people", Text, nullable=False),
)
"""Who held a role that waiting requests ask, when that was last looked at (JSON list): whoever
holds it since is told. Empty while nothing waits."""

delegations = Table(
    "delegations",
    metadata,
    Column("delegation", Key, primary_key=True),
    Column("giver", Text, nullable=False),
    Column("giver_key", Text, nullable=False),
    Column("taker", Text, nullable=False),
    Column("taker_key", Text, nullable=False),
    Column("roles", Text),
    Column("owner", Whole, nullable=False),
    Column("starts_at", Whole, nullable=False),
    Column("ends_at", Whole, nullable=False),
    Column("made_at", Whole, nullable=False),
    Column("note", Text),
    Column("ended_at", Whole),
    Column("ended_by", Text),
)
"""The taker may vote for the giver, in some roles (JSON list) or in all; `owner`: the giver made it
as the plane's owner, who holds every role."""
Index("ix_delegations_giver_key", delegations.c.giver_key, delegations.c.ends_at)
Index("ix_delegations_taker_key", delegations.c.taker_key, delegations.c.ends_at)

views = Table(
    "request_views",
    metadata,
    Column("request", Text, primary_key=True),
    Column("person", Text, primary_key=True),
    Column("at", Whole, nullable=False),
)

comments = Table(
    "request_comments",
    metadata,
    Column("comment", Key, primary_key=True),
    Column("request", Key, nullable=False),
    Column("person", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("at", Whole, nullable=False),
)
Index("ix_request_comments_request", comments.c.request, comments.c.comment)

narrowings = Table(
    "request_narrowings",
    metadata,
    Column("request", Key, primary_key=True),
    Column("person", Text, nullable=False),
    Column("reason", Text),
    Column("changes", Text, nullable=False),
)
"""Requests that a person made by narrowing another (their `supersedes`); `changes` is JSON
`[[argument, before, after], …]`."""
