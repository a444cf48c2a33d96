"""The words of refusals, holds, errors and approvals, to be searched on either engine.

Words are kept as they are looked for, in lower case without what is between them, so that both
engines split them alike: with FTS5 on SQLite, with an index of text on PostgreSQL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sqlalchemy import (
    DDL,
    Column,
    ColumnElement,
    Table,
    Text,
    bindparam,
    delete,
    event,
    literal_column,
    select,
    text,
)

from watchkeeper.core.errors import Invalid
from watchkeeper.core.tracing import span_of
from watchkeeper.store.metadata import Key, Whole, metadata
from watchkeeper.store.statement import Statement, insert
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces.model import Span
from watchkeeper.traces.tables import spans

_WORD = re.compile(r"[^\W_]+")
_MOST_WORDS = 12
_LONGEST_TEXT = 4000
_SAID = {"deny": "denied", "hold": "held"}

span_words = Table(
    "span_words",
    metadata,
    Column("id", Whole, primary_key=True, autoincrement=False),
    Column("key", Key, nullable=False),
    Column("words", Text, nullable=False),
)
"""`id` is of the key: the row id of its words in SQLite's index."""
_INDEXES = {
    "sqlite": "CREATE VIRTUAL TABLE span_words_index USING fts5"
    "(words, tokenize='unicode61 remove_diacritics 0')",
    "postgresql": "CREATE INDEX span_words_index ON span_words "
    "USING gin (to_tsvector('simple', words))",
}
for _engine, _made in _INDEXES.items():
    _index: DDL = DDL(_made)  # type: ignore[no-untyped-call]
    event.listen(span_words, "after_create", _index.execute_if(dialect=_engine))

_put = insert(span_words).values(id=bindparam("id"), key=bindparam("key"), words=bindparam("words"))
_PUT = Statement(
    _put.on_conflict_do_update(index_elements=["id"], set_={"words": _put.excluded.words})
)
_INDEX = Statement(
    text("INSERT OR REPLACE INTO span_words_index (rowid, words) VALUES (:id, :words)")
)
_UNINDEX = Statement(
    text("DELETE FROM span_words_index WHERE rowid NOT IN (SELECT id FROM span_words)")
)
_FORGET = Statement(
    delete(span_words).where(
        ~select(literal_column("1")).where(spans.c.key == span_words.c.key).exists()
    )
)
_MERGE = Statement(text("INSERT INTO span_words_index (span_words_index) VALUES ('optimize')"))
"""What is taken out of an index of FTS5 stays in it until its parts are merged."""
_ON_SQLITE = text(
    "SELECT w.key FROM span_words_index i JOIN span_words w ON w.id = i.rowid "
    "WHERE span_words_index MATCH :wanted"
)
_ON_POSTGRES = text(
    "SELECT key FROM span_words WHERE to_tsvector('simple', words) @@ to_tsquery('simple', :wanted)"
)


def put(tx: Transaction, changed: Iterable[Span]) -> None:
    """Keep the words of spans that have some to be searched."""
    said = [(span.key, words_of(span)) for span in changed if _speaks(span)]
    rows = [{"id": int(span_of(key), 16) >> 1, "key": key, "words": words} for key, words in said]
    _PUT.run_many(tx, rows)
    if tx.driver is not None:
        _INDEX.run_many(tx, [{"id": row["id"], "words": row["words"]} for row in rows])


def forget(tx: Transaction) -> None:
    """Forget the words of spans that are gone."""
    _FORGET.run(tx)
    if tx.driver is not None:
        _UNINDEX.run(tx)


def scrub(tx: Transaction) -> None:
    """Forget the words of rows that are gone, and leave none of them in the index's own pages."""
    if tx.driver is not None:
        _UNINDEX.run(tx)
        _MERGE.run(tx)


def words_of(span: Span) -> str:
    """Return the words by which a span is found."""
    said = (
        span.name, span.agent, span.rule, span.error,
        _SAID.get(span.verdict or "", span.verdict), span.outcome, span.principal,
        span.attributes.get("watchkeeper.decision.reason"), span.key, span.run,
        *(mark.text for mark in span.marks),
    )  # fmt: skip
    whole = " ".join(str(one) for one in said if one)
    return " ".join(_WORD.findall(whole[:_LONGEST_TEXT].lower()))


def matching(tx: Transaction, wanted: str) -> ColumnElement[bool]:
    """Return the condition that a span has every word of a text, or begins of it.

    Raises `Invalid` for a text without a word, or with too many.
    """
    words = _WORD.findall(wanted.lower())
    if not 1 <= len(words) <= _MOST_WORDS:
        raise Invalid(f"search for 1 to {_MOST_WORDS} words, not {len(words)}", where="text")
    if tx.connection.dialect.name == "sqlite":
        asked = _ON_SQLITE.bindparams(wanted=" ".join(f'"{word}"*' for word in words))
    else:
        asked = _ON_POSTGRES.bindparams(wanted=" & ".join(f"{word}:*" for word in words))
    return spans.c.key.in_(asked.columns(span_words.c.key))


def _speaks(span: Span) -> bool:
    return span.status == "error" or span.kind == "approval" or span.verdict in ("hold", "deny")
