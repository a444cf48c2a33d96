"""Hand-overs as they were given; only their acknowledgement is written later, once."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text

from watchkeeper.store.metadata import Key, Whole, metadata

handovers = Table(
    "oncall_handovers",
    metadata,
    Column("handover", Key, primary_key=True),
    Column("role", Text),
    Column("schedule", Text),
    Column("by_person", Text, nullable=False),
    Column("to_person", Text),
    Column("next_people", Text, nullable=False),
    Column("since", Whole, nullable=False),
    Column("given_at", Whole, nullable=False),
    Column("due_at", Whole, nullable=False),
    Column("sequence", Whole, nullable=False),
    Column("digest", Text, nullable=False),
    Column("acknowledged_by", Text),
    Column("acknowledged_at", Whole),
    Column("note", Text),
    Column("text", Text, nullable=False),
    Column("edited", Whole, nullable=False),
    Column("sections", Text, nullable=False),
)
"""People by plain name; `next_people` is a JSON list. `sections` (JSON) is what the plane
itself found when it was given, `digest` covers all but the acknowledgement."""

_OPEN = handovers.c.acknowledged_at.is_(None)
Index(
    "ix_oncall_handovers_open",
    handovers.c.handover,
    sqlite_where=_OPEN,
    postgresql_where=_OPEN,
)
