"""What is looked for when a person is erased: names, texts, digests, and the runs for them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select

from watchkeeper.approvals.tables import requests
from watchkeeper.decide.tables import decisions
from watchkeeper.identity.tables import runs
from watchkeeper.store.transaction import Transaction
from watchkeeper.store.vault import name_of
from watchkeeper.store.vault_tables import data_subjects, vault_values
from watchkeeper.wire.erasing import ERASED

_WORD = re.compile(r"[^\W_]+")
_BEGINS = (
    r"(?:(?<![^\W_])(?<![^\W_][._+-])"
    r"|(?<=\\[nrtbf])|(?<=\\u[0-9a-fA-F]{4})|(?<=%[0-9a-fA-F]{2}))"
)
"""After no letter, unless that is the end of an escape: `jkim@…` and `j.kim@…` are others."""
_ENDS = r"(?!-*[^\W_])"
_GOES_ON = re.compile(r"(?:\.[^\W_]+(?:-+[^\W_]+)*)+")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LEAST_DIGITS = 6
_LONGEST_NAME = 200
_AT_ONCE = 500


@dataclass(frozen=True)
class Sought:
    """All that is of one person.

    `within` are texts that can mean nobody else and are looked for inside others, in lower case, as
    `words` are where those of a text are kept to be searched; `whole` are names that are words too,
    and `digests` are of what only somebody who knows it all could have made.
    """

    names: frozenset[str]
    people: frozenset[str]
    """Whom the vault knows by one of the names."""
    subjects: frozenset[str]
    """They, and the runs that somebody unnamed in them is known by."""
    values: frozenset[str]
    """Ids of what the vault holds."""
    runs: frozenset[str]
    within: tuple[str, ...]
    words: tuple[str, ...]
    whole: frozenset[str]
    digests: frozenset[str]
    requests: frozenset[str]
    """What was asked of people about the person."""
    scopes: frozenset[str]
    """The runs and requests that the values are told in."""

    def packed(self) -> dict[str, list[str]]:
        """Return it as JSON has it."""
        return {one.name: sorted(getattr(self, one.name)) for one in fields(self)}

    @classmethod
    def unpacked(cls, packed: Mapping[str, list[str]]) -> Sought:
        """Return what was packed."""
        ordered = {"within", "words"}
        made: dict[str, Any] = {name: tuple(said) if name in ordered else frozenset(said)
                                for name, said in packed.items()}  # fmt: skip
        return cls(**made)

    def is_another(self, name: str) -> bool:
        """Tell whether an address that names somebody goes on: `kim@x.co.uk` is not `kim@x.co`."""
        found = self._pattern.search(name) if self.within else None
        return found is not None and _GOES_ON.fullmatch(name, found.end()) is not None

    def without(self, text: str) -> str:
        """Return a text without anything that is looked for."""
        if text in self.whole or text in self.digests:
            return ERASED
        if self.within:
            text = self._pattern.sub(ERASED, text)
        if self.digests and "sha256:" in text:
            text = _DIGEST.sub(lambda one: ERASED if one[0] in self.digests else one[0], text)
        return text

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(pattern_of(self.within), re.IGNORECASE)


def pattern_of(within: Iterable[str]) -> str:
    """Return a regular expression of texts where they are no part of somebody else's name."""
    return f"{_BEGINS}(?:{'|'.join(map(re.escape, within))}){_ENDS}"


def seek(tx: Transaction, names: Iterable[str]) -> Sought:
    """Return what is of a person who is called by these names."""
    said = {one.strip() for one in names if one.strip()}
    called = frozenset(map(name_of, said))
    own_runs = runs_for(tx, called)
    people = subjects_of(tx, called)
    subjects = people | subjects_of(tx, own_runs)
    values, texts, scopes = _values(tx, subjects, people)
    # what is of nobody by name is of whoever the run is about
    unnamed = subjects_of(tx, scopes) - subjects
    if unnamed:
        more, others, _ = _values(tx, unnamed, ())
        subjects, values, texts = subjects | unnamed, values | more, texts | others
    scopes |= own_runs
    scopes.discard("")
    digests = {one for one in texts if one.startswith("sha256:")}
    digests |= _digests_of(tx, own_runs, digests)
    asked = _requests_of(tx, own_runs, digests)
    known = {one for one in said | texts if name_of(one) in called} | called
    within: set[str] = set()
    whole = {f"{kind}/{name}" for name in called for kind in ("person", "user")}
    for one in known:
        if _is_telling(one):
            within.update(form.lower() for form in _forms(one))
        elif "/" in one:
            whole.add(one)
    longest_first = tuple(sorted(within, key=lambda one: (-len(one), one)))
    words = {" ".join(_WORD.findall(one)) for one in within}
    return Sought(
        called, frozenset(people), frozenset(subjects), frozenset(values), own_runs, longest_first,
        tuple(sorted(words)), frozenset(whole), frozenset(digests),
        frozenset(asked), frozenset(scopes),
    )  # fmt: skip


def _is_telling(name: str) -> bool:
    """Tell whether a name means one person wherever it stands, and is no word or short name."""
    many = sum(map(str.isdigit, name)) >= _LEAST_DIGITS
    return len(name) <= _LONGEST_NAME and (many or "@" in name)


def _forms(text: str) -> Iterable[str]:
    """Yield a text as it may stand: plain, and in JSON."""
    yield text
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]


def runs_for(tx: Transaction, names: Collection[str], after: str = "") -> frozenset[str]:
    """Return the runs for who is called so; with `after`, those opened after a run."""
    behalf = func.lower(runs.c.on_behalf_of)
    conditions: list[ColumnElement[bool]] = [behalf.in_(names)]
    conditions += [behalf.endswith(f"/{name}", autoescape=True) for name in names]
    found = tx.connection.execute(
        select(runs.c.run, runs.c.on_behalf_of).where(runs.c.run > after, or_(*conditions))
    )
    return frozenset(row.run for row in found if name_of(row.on_behalf_of) in names)


def subjects_of(tx: Transaction, names: Collection[str]) -> set[str]:
    """Return the ids of the persons who are called so."""
    table = data_subjects.c
    return {
        row.subject
        for part in parts(names)
        for row in tx.connection.execute(select(table.subject).where(table.name.in_(part)))
    }


def _values(
    tx: Transaction, subjects: Collection[str], people: Collection[str]
) -> tuple[set[str], set[str], set[str]]:
    """Return ids, texts and scopes of what is of some subjects, or of people with others."""
    table, ids, scopes = vault_values.c, set[str](), set[str]()
    conditions: list[ColumnElement[bool]] = [table.also.contains(one) for one in people]
    for condition in (*(table.subject.in_(part) for part in parts(subjects)), *conditions):
        for row in tx.connection.execute(select(table.value, table.scope).where(condition)):
            ids.add(row.value)
            scopes.add(row.scope)
    opened = tx.vault.open(tx, ids).values()
    return ids, {one.text for one in opened if one.text is not None}, scopes


def _digests_of(tx: Transaction, own: Collection[str], digests: Collection[str]) -> set[str]:
    """Return digests that no entry holds, of the calls that those of entries are of."""
    found: set[str] = set()
    for table in (decisions, requests):
        for column, wanted in ((table.c.run, own), (table.c.digest, digests)):
            for part in parts(wanted):
                query = select(table.c.digest, table.c.call_digest).where(column.in_(part))
                for row in tx.connection.execute(query):
                    found |= {one for one in row if one}
    return found


def _requests_of(tx: Transaction, own: Collection[str], digests: Collection[str]) -> set[str]:
    found: set[str] = set()
    for column, wanted in ((requests.c.run, own), (requests.c.digest, digests)):
        for part in parts(wanted):
            found.update(tx.connection.scalars(select(requests.c.request).where(column.in_(part))))
    return found


def parts(names: Collection[str]) -> Iterator[list[str]]:
    """Yield names in lists that a query takes."""
    ordered = sorted(names)
    return (ordered[at : at + _AT_ONCE] for at in range(0, len(ordered), _AT_ONCE))
