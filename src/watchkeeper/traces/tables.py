"""Spans, and how far the ledger was followed to derive them."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text

from watchkeeper.store.cursor import Cursor
from watchkeeper.store.metadata import Key, Whole, metadata

spans = Table(
    "spans",
    metadata,
    Column("key", Key, primary_key=True),
    Column("source", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("run", Key),
    Column("trace", Key, nullable=False),
    Column("span", Key, nullable=False),
    Column("parent", Key),
    Column("agent", Key, nullable=False),
    Column("version", Whole),
    Column("operation", Text, nullable=False),
    Column("subject", Key, nullable=False),
    Column("start", Whole, nullable=False),
    Column("end", Whole),
    Column("status", Text, nullable=False),
    Column("verdict", Text),
    Column("outcome", Text),
    Column("rule", Text),
    Column("error", Text),
    Column("request", Key),
    Column("sequence", Whole),
    Column("principal", Text),
    Column("cost_micros", Whole, nullable=False),
    Column("input_tokens", Whole, nullable=False),
    Column("output_tokens", Whole, nullable=False),
    Column("calls", Whole, nullable=False),
    Column("refusals", Whole, nullable=False),
    # names with commas
    Column("classes", Text),
    # JSON
    Column("links", Text),
    Column("marks", Text),
    Column("attributes", Text),
)
"""Keys of the plane's own spans are ids of what they are of; those of agents' spans hold a `/`,
which no id does."""
Index("spans_by_run", spans.c.run, spans.c.start, spans.c.key)
Index("spans_by_trace", spans.c.trace)
Index("spans_by_start", spans.c.start, spans.c.key)
Index("spans_by_agent", spans.c.agent, spans.c.start)
Index("spans_by_subject", spans.c.subject, spans.c.start)
_failed = spans.c.status == "error"
Index(
    "spans_in_error",
    spans.c.start,
    spans.c.key,
    sqlite_where=_failed,
    postgresql_where=_failed,
)
_with_data = spans.c.classes.is_not(None)
Index(
    "spans_with_data",
    spans.c.start,
    spans.c.key,
    sqlite_where=_with_data,
    postgresql_where=_with_data,
)
Index("spans_by_end", spans.c.end)

trace_cursor = Cursor("trace_cursor")
