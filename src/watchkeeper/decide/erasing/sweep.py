"""Every table looked through for a person's data: what there is, and rows without it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Table, Text, and_, delete, func, or_, select, update

from watchkeeper.decide.erasing.sought import ERASED, Sought
from watchkeeper.store.journal import events
from watchkeeper.store.metadata import metadata
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces.words import scrub, span_words

_LEFT = frozenset(
    {"events", "data_subjects", "vault_values", "vault_key", "documents", "schema_version",
     "sealed_secrets", "sealing_state", "checkpoints", "ledger_head", "ledger_keys", "anchorings"}
)  # fmt: skip
"""The ledger itself, what proves it, the vault, and documents, which people write of themselves."""
_NOTHING = '{"erased":true}'
WORDS: Mapping[str, Mapping[str, str | None]] = {
    "runs": {"goal": ERASED, "on_behalf_of": None, "on_behalf_of_proof": None,
             "object_id": None, "summary": None},
    "decisions": {"arguments": _NOTHING, "person": None, "object": None, "error": None,
                  "question": None, "result_digest": None, "idempotency_key": None,
                  "call_digest": ERASED, "digest": ERASED},
    "requests": {"on_behalf_of": None, "goal": ERASED, "object_id": None, "asks": ERASED,
                 "arguments": _NOTHING, "canonical": _NOTHING, "changes": "[]", "search": "",
                 "explanation": None, "call_digest": None, "digest": ERASED},
    "spans": {"principal": None, "error": None, "marks": None, "attributes": None},
    "trace_contents": {"text": None, "digest": ERASED, "left_out": "erased"},
    "calls": {"result": None},
    "deferred": {"ask": _NOTHING, "result": None},
    "deliveries": {"payload": _NOTHING},
}  # fmt: skip
"""What rows of a run for a person say of the person, and what stands there instead."""


class Row(NamedTuple):
    """A row that holds something, and what is to stand in it; None: it is to go."""

    table: Table
    key: tuple[Any, ...]
    put: dict[str, str | None] | None


def tables() -> list[Table]:
    """Return every table that is looked through."""
    return [table for table in metadata.sorted_tables if table.name not in _LEFT]


def look(tx: Transaction, table: Table, sought: Sought) -> Iterator[Row]:
    """Yield the rows of a table that hold something of a person."""
    texts = [column for column in table.columns if isinstance(column.type, Text)]
    keys = list(table.primary_key.columns)
    words = WORDS.get(table.name, {})
    conditions = [found for column in texts for found in _conditions(column, sought)]
    if words:
        conditions += [table.c.run.in_(part) for part in _parts(sought)]
    if not conditions:
        return
    for row in tx.connection.execute(select(table).where(or_(*conditions))):
        held = row._mapping
        put: dict[str, str | None] = {}
        of_person = words and held["run"] in sought.runs
        for column in texts:
            before = held[column.name]
            if before is None:
                continue
            after: str | None = sought.without(before)
            if of_person and column.name in words:
                after = words[column.name]
            if after != before:
                put[column.name] = after
        if put:
            key = tuple(held[column.name] for column in keys)
            named = any(column.name in put for column in keys)
            yield Row(table, key, None if named or table.name == "span_words" else put)


def change(tx: Transaction, rows: list[Row]) -> None:
    """Write rows as they are to be."""
    tx.silent("the erasure is on record when it has ended")
    for row in rows:
        where = and_(*(c == v for c, v in zip(row.table.primary_key.columns, row.key, strict=True)))
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
    conditions = [
        found
        for column in (events.c.body, events.c.actor, events.c.subject)
        for found in _conditions(column, sought)
    ]
    if not conditions:
        return 0
    query = select(func.count()).select_from(events).where(or_(*conditions))
    return int(tx.connection.execute(query).scalar_one())


def _conditions(column: Column[Any], sought: Sought) -> Iterator[ColumnElement[bool]]:
    for one in sought.within:
        yield func.lower(column).contains(one, autoescape=True)
    whole = sorted(sought.whole)
    for at in range(0, len(whole), 500):
        yield column.in_(whole[at : at + 500])


def _parts(sought: Sought) -> Iterator[list[str]]:
    runs = sorted(sought.runs)
    for at in range(0, len(runs), 500):
        yield runs[at : at + 500]
