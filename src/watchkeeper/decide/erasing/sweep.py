"""Every table looked through for a person's data: what there is, and rows without it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    RowMapping,
    Subquery,
    Table,
    Text,
    and_,
    delete,
    func,
    literal,
    or_,
    select,
    update,
)

from watchkeeper.decide.erasing.sought import Sought, parts
from watchkeeper.store.journal import events
from watchkeeper.store.metadata import metadata
from watchkeeper.store.retention import Held, Kind
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces.words import scrub, span_words
from watchkeeper.wire.erasing import ERASED, ERASED_JSON

_LEFT = frozenset(
    {"events", "data_subjects", "vault_values", "vault_key", "erasures", "documents",
     "schema_version", "sealed_secrets", "sealing_state", "checkpoints", "ledger_head",
     "ledger_keys", "anchorings"}
)  # fmt: skip
"""The ledger itself, what proves it, the vault, and documents, which people write of themselves."""
_CONDITIONS_AT_ONCE = 200
_SAID = "all_that_is_said"
WORDS: Mapping[str, Mapping[str, str | None]] = {
    "runs": {"goal": ERASED, "on_behalf_of": None, "on_behalf_of_proof": None,
             "object_id": None, "summary": None},
    "decisions": {"arguments": ERASED_JSON, "person": None, "object": None, "error": None,
                  "question": None, "result_digest": None, "idempotency_key": None,
                  "call_digest": ERASED, "digest": ERASED},
    "requests": {"on_behalf_of": None, "goal": ERASED, "object_id": None, "asks": ERASED,
                 "arguments": ERASED_JSON, "canonical": ERASED_JSON, "changes": "[]", "search": "",
                 "explanation": None, "call_digest": None, "digest": ERASED},
    "spans": {"principal": None, "error": None, "marks": None, "attributes": None},
    "trace_contents": {"text": None, "digest": ERASED, "left_out": "erased"},
    "calls": {"result": None},
    "deferred": {"ask": ERASED_JSON, "result": None},
    "deliveries": {"payload": ERASED_JSON},
}  # fmt: skip
"""What rows of a run for a person say of the person, and what stands there instead."""


_NAMES = frozenset({"on_behalf_of", "person", "principal"})
"""Columns that name one person and say nothing else."""
_ABOUT: tuple[Kind, ...] = ("agent", "run", "request", "runtime")


class Row(NamedTuple):
    """A row that holds something, and what is to stand in it; None: it is to go."""

    table: Table
    key: tuple[Any, ...]
    put: dict[str, str | None] | None
    was: dict[str, str]
    """What stands there now: where that has changed, another look is needed."""
    about: frozenset[Held]
    """By which of these a hold would keep it."""


def tables() -> list[Table]:
    """Return every table that is looked through."""
    return [table for table in metadata.sorted_tables if table.name not in _LEFT]


def look(tx: Transaction, table: Table, sought: Sought) -> Iterator[Row]:
    """Yield the rows of a table that hold something of a person."""
    keys = list(table.primary_key.columns)
    words = WORDS.get(table.name, {})
    if tx.connection.execute(select(table).limit(1)).first() is None:
        return
    told = _told(table)
    texts = _texts(table)
    conditions = _conditions(told, texts, sought)
    if words:
        conditions += [told.c.run.in_(part) for part in parts(sought.runs)]
    if "request" in told.c and table.name != "requests":  # it may be told of by its digest
        conditions += [told.c.request.in_(part) for part in parts(sought.requests)]
    for held in _rows(tx, told, [column.name for column in keys], conditions):
        put: dict[str, str | None] = {}
        was: dict[str, str] = {}
        of_person = words and held["run"] in sought.runs
        for name in texts:
            before = held[name]
            if before is None:
                continue
            names_another = name in _NAMES and sought.is_another(before)
            after: str | None = before if names_another else sought.without(before)
            if of_person and name in words:
                after = words[name]
            if after != before:
                put[name], was[name] = after, before
        if table.name == "span_words":
            put = {"words": None}
        if put:
            key = tuple(held[column.name] for column in keys)
            named = any(column.name in put for column in keys)
            goes = named or table.name == "span_words"
            about = frozenset(Held(kind, held[kind]) for kind in _ABOUT if held.get(kind))
            yield Row(table, key, None if goes else put, was, about)


def _rows(
    tx: Transaction, told: Subquery, keys: list[str], conditions: list[ColumnElement[bool]]
) -> Iterator[RowMapping]:
    """Yield each row that one of many conditions is true of, once."""
    seen = set[Any]()
    for part in _batched(conditions):
        for row in tx.connection.execute(select(told).where(or_(*part))).mappings():
            key = tuple(row[name] for name in keys)
            if key not in seen:
                seen.add(key)
                yield row


def _batched(conditions: list[ColumnElement[bool]]) -> Iterator[list[ColumnElement[bool]]]:
    # what has too many parts is too deep for SQLite
    for at in range(0, len(conditions), _CONDITIONS_AT_ONCE):
        yield conditions[at : at + _CONDITIONS_AT_ONCE]


def change(tx: Transaction, rows: list[Row]) -> None:
    """Write rows as they are to be."""
    tx.silent("the erasure is on record when it has ended")
    for row in rows:
        keys = zip(row.table.primary_key.columns, row.key, strict=True)
        stands = (row.table.c[name] == value for name, value in row.was.items())
        where = and_(*(column == value for column, value in keys), *stands)
        if row.put is None:
            tx.connection.execute(delete(row.table).where(where))
        else:
            tx.connection.execute(update(row.table).where(where).values(row.put))
    if any(row.table is span_words for row in rows):
        scrub(tx)


def in_entries(tx: Transaction, sought: Sought) -> int:
    """Return how many entries of the ledger hold a name themselves, from before there was a vault.

    What a member of staff did under it is among them.
    """
    told, found = _told(events), set[int]()
    for part in _batched(_conditions(told, ("body", "actor", "subject"), sought)):
        for row in tx.connection.execute(select(told).where(or_(*part))):
            if any(sought.without(text) != text for text in (row.body, row.actor, row.subject)):
                found.add(row.sequence)
    return len(found)


def _texts(table: Table) -> list[str]:
    return [column.name for column in table.columns if isinstance(column.type, Text)]


def _told(table: Table) -> Subquery:
    """Return the rows of a table, each with all its texts in one, in lower case."""
    said: ColumnElement[str] = literal(" ")
    for name in _texts(table):
        said = said.concat(func.lower(func.coalesce(table.c[name], ""))).concat("\n")
    if table is span_words:
        said = literal(" ").concat(table.c.words).concat(" ")
    return select(table, said.label(_SAID)).subquery()


def _conditions(told: Subquery, texts: Iterable[str], sought: Sought) -> list[ColumnElement[bool]]:
    said: ColumnElement[str] = told.c[_SAID]
    within: Iterable[str] = sought.within
    if "words" in told.c:
        within = (f" {one} " for one in sought.words)
    found = [said.contains(one, autoescape=True) for one in within]
    for name in texts:
        digests = "digest" in name or name == "call"
        wanted = sought.digests if digests else sought.whole
        found += [told.c[name].in_(part) for part in parts(wanted)]
    return found
