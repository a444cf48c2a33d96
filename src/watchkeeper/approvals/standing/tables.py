"""Standing approvals with what is left of them."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text

from watchkeeper.store.metadata import Key, Whole, metadata

standing_approvals = Table(
    "standing_approvals",
    metadata,
    Column("standing", Key, primary_key=True),
    Column("state", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("tool", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("contract", Text, nullable=False),
    Column("agent_version", Whole, nullable=False),
    Column("tool_digest", Text, nullable=False),
    Column("definition", Text),
    Column("pins", Text, nullable=False),
    Column("uses", Whole, nullable=False),
    Column("max_uses", Whole, nullable=False),
    Column("each_micros", Whole),
    Column("used_micros", Whole, nullable=False),
    Column("total_micros", Whole),
    Column("seconds", Whole, nullable=False),
    Column("expires_at", Whole),
    Column("risk", Text, nullable=False),
    Column("groups", Text, nullable=False),
    Column("signed", Whole, nullable=False),
    Column("people", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("proposed_by", Text, nullable=False),
    Column("proposed_at", Whole, nullable=False),
    Column("approved_by", Text, nullable=False),
    Column("approved_at", Whole),
    Column("last_used_at", Whole),
    Column("ended_at", Whole),
    Column("ended_by", Text),
    Column("ended_why", Text),
)
"""`state` is proposed, standing or ended; `pins` is canonical JSON, `groups` JSON
`[[role, count], …]`, `people` (keys) and `approved_by` JSON lists."""

_STANDS = standing_approvals.c.state == "standing"
Index(
    "ix_standing_approvals_in_force",
    standing_approvals.c.agent,
    standing_approvals.c.tool,
    sqlite_where=_STANDS,
    postgresql_where=_STANDS,
)
Index("ix_standing_approvals_request", standing_approvals.c.request)
