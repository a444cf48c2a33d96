"""People's SSH keys over time: which counted when, as their applied documents said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select

from watchkeeper.core.digest import parse
from watchkeeper.core.ssh import plain_key
from watchkeeper.registry.tables import documents
from watchkeeper.store.journal import events
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction

_AT_ONCE = 200
_IN_FORCE = Statement(
    select(documents.c.body).where(
        documents.c.kind == "person",
        documents.c.name == bindparam("name_is"),
        documents.c.current == 1,
    )
)


@dataclass(frozen=True, slots=True)
class KeySpan:
    """A key of a person, and when it counted: microseconds; `until` None: it does now."""

    person: str
    key: str
    since: int
    until: int | None = None


def keys_in_force(tx: Transaction, person: str) -> frozenset[str]:
    """Return the keys that a person's document names at this moment, without comments."""
    body = _IN_FORCE.scalar(tx, name_is=person)
    return _keys_of(parse(body)) if body is not None else frozenset()


def key_spans(tx: Transaction, person: str | None = None) -> list[KeySpan]:
    """Return every key that a person ever had, or that all people had, by name and time."""
    query = select(documents.c.name, documents.c.applied_at, documents.c.body).where(
        documents.c.kind == "person"
    )
    if person is not None:
        query = query.where(documents.c.name == person)
    changes: dict[str, list[tuple[int, Set[str]]]] = {}
    for row in tx.connection.execute(query.order_by(documents.c.name, documents.c.version)):
        changes.setdefault(row.name, []).append((row.applied_at, _keys_of(parse(row.body))))
    names = list(changes)
    for start in range(0, len(names), _AT_ONCE):
        subjects = [f"person/{name}" for name in names[start : start + _AT_ONCE]]
        removed = select(events.c.subject, events.c.at).where(
            events.c.subject.in_(subjects), events.c.type == "person.removed"
        )
        for subject, at in tx.connection.execute(removed):
            changes[subject.removeprefix("person/")].append((at, frozenset()))
    return [span for name in names for span in spans_of(name, changes[name])]


def spans_of(person: str, changes: Iterable[tuple[int, Set[str]]]) -> Sequence[KeySpan]:
    """Return when each key counted, of changes that say when and which count from then on."""
    found: list[KeySpan] = []
    since: dict[str, int] = {}
    for at, keys in sorted(changes, key=lambda change: change[0]):
        for gone in [key for key in since if key not in keys]:
            found.append(KeySpan(person, gone, since.pop(gone), at))
        for key in keys:
            since.setdefault(key, at)
    found += [KeySpan(person, key, at) for key, at in since.items()]
    return sorted(found, key=lambda span: (span.since, span.key))


def _keys_of(body: dict[str, Any]) -> frozenset[str]:
    return frozenset(plain_key(key) for key in body.get("ssh_keys") or ())
