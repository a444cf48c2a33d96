"""Spans to rows and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec.structs import asdict
from sqlalchemy import bindparam, select

from watchkeeper.store.statement import Row, Statement, insert
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces.model import Link, Mark, Span
from watchkeeper.traces.tables import spans

_encode = msgspec.json.Encoder().encode
_links = msgspec.json.Decoder(tuple[Link, ...]).decode
_marks = msgspec.json.Decoder(tuple[Mark, ...]).decode
_attributes = msgspec.json.Decoder(dict[str, Any]).decode

_FIELDS = tuple(spans.columns.keys())
_put = insert(spans).values({column.name: bindparam(column.name) for column in spans.columns})
_PUT = Statement(
    _put.on_conflict_do_update(
        index_elements=["key"],
        set_={column.name: _put.excluded[column.name] for column in spans.columns
              if column.name != "key"},
    )
)  # fmt: skip


def put(tx: Transaction, changed: Iterable[Span]) -> None:
    """Write spans, in place of what was there under their keys."""
    _PUT.run_many(tx, [_as_row(span) for span in changed])


def find(tx: Transaction, keys: Iterable[str]) -> dict[str, Span]:
    """Return the spans that there are under some keys."""
    wanted = list(keys)
    if not wanted:
        return {}
    rows = tx.connection.execute(select(spans).where(spans.c.key.in_(wanted)))
    return {row.key: as_span(row) for row in rows}


def _as_row(span: Span) -> dict[str, Any]:
    row = asdict(span)
    row["classes"] = ",".join(span.classes) or None
    row["links"] = _encode(span.links).decode() if span.links else None
    row["marks"] = _encode(span.marks).decode() if span.marks else None
    row["attributes"] = _encode(span.attributes).decode() if span.attributes else None
    return row


def as_span(row: Row) -> Span:
    """Return the span that a row of the table is."""
    fields = dict(zip(_FIELDS, row, strict=True))
    fields["classes"] = tuple(row.classes.split(",")) if row.classes else ()
    fields["links"] = _links(row.links) if row.links else ()
    fields["marks"] = _marks(row.marks) if row.marks else ()
    fields["attributes"] = _attributes(row.attributes) if row.attributes else {}
    return Span(**fields)
