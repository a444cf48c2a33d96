"""What was said in model calls and answered by tools, apart from spans: larger, kept by consent.

How much is kept is the contract's word: everything but what its redaction level leaves out, digests
alone, or nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, get_args

import msgspec
from sqlalchemy import Column, Index, Table, Text, bindparam, delete, select, tuple_

from watchkeeper.store.metadata import Key, Whole, metadata
from watchkeeper.store.retention import is_held
from watchkeeper.store.statement import Row, Statement, insert
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.traces import ContentPart

PARTS: tuple[ContentPart, ...] = get_args(ContentPart)
AT_ONCE = 500
"""How many rows one purge takes."""

trace_contents = Table(
    "trace_contents",
    metadata,
    Column("key", Key, primary_key=True),
    Column("part", Key, primary_key=True),
    Column("run", Key, nullable=False),
    Column("agent", Key, nullable=False),
    Column("at", Whole, nullable=False),
    Column("kind", Text, nullable=False),
    Column("text", Text),
    Column("digest", Text, nullable=False),
    Column("size", Whole, nullable=False),
    Column("left_out", Text),
)
"""By decision. `text` is what is kept of it, `digest` and `size` are of all that passed;
`left_out` says why there is no text."""
Index("trace_contents_by_time", trace_contents.c.at)
Index("trace_contents_by_run", trace_contents.c.run)


class Content(msgspec.Struct, frozen=True):
    """One part of one action, as it is kept."""

    key: str
    part: ContentPart
    run: str
    agent: str
    at: int
    kind: str
    """`json`: a body of its protocol; `text`: the words of an answer that was streamed."""
    text: str | None
    digest: str
    size: int
    left_out: str | None = None


_ADD = Statement(
    insert(trace_contents)
    .values({column.name: bindparam(column.name) for column in trace_contents.columns})
    .on_conflict_do_nothing(index_elements=["key", "part"])
)
_OF = Statement(select(trace_contents).where(trace_contents.c.key == bindparam("key_is")))
_t = trace_contents.c
_PURGE = Statement(
    delete(trace_contents).where(
        tuple_(_t.key, _t.part).in_(
            select(_t.key, _t.part)
            .where(_t.at < bindparam("before"), ~is_held(run=_t.run, agent=_t.agent))
            .order_by(_t.at)
            .limit(AT_ONCE)
        )
    )
)


def keep(tx: Transaction, contents: Iterable[Content]) -> None:
    """Write what was said; what is written once stays."""
    tx.silent("that it was said is on record; this is what")
    _ADD.run_many(tx, [msgspec.structs.asdict(one) for one in contents])


def read(tx: Transaction, key: str) -> list[Content]:
    """Return what is kept of an action, what went in first."""
    rows: list[Row] = _OF.all(tx, key_is=key)
    found = [Content(**_fields(row)) for row in rows]
    return sorted(found, key=lambda one: PARTS.index(one.part))


def digests(tx: Transaction, keys: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the digests of what is kept of some actions, by part."""
    found: dict[str, dict[str, str]] = {}
    for row in tx.connection.execute(
        select(_t.key, _t.part, _t.digest).where(_t.key.in_(keys), _t.digest != "")
    ):
        found.setdefault(row.key, {})[row.part] = row.digest
    return found


def purge(tx: Transaction, before: int) -> int:
    """Forget what was said before a time, up to a bound, unless held; return how much."""
    tx.silent("that it was said stays on record")
    return _PURGE.run(tx, before=before)


def _fields(row: Row) -> dict[str, Any]:
    fields: dict[str, Any] = row._asdict()
    return fields
