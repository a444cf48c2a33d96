"""What is looked for when a person is erased: names, texts, digests, and the runs for them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select

from watchkeeper.approvals.model import OPEN
from watchkeeper.approvals.tables import requests
from watchkeeper.decide.tables import decisions
from watchkeeper.identity.tables import runs
from watchkeeper.store.retention import retention_holds
from watchkeeper.store.transaction import Transaction
from watchkeeper.store.vault import name_of
from watchkeeper.store.vault_tables import data_subjects, vault_values

_WORD = re.compile(r"[^\W_]+")
_LEAST_DIGITS = 6
_LONGEST_NAME = 200
_AT_ONCE = 500
ERASED = "[erased]"


@dataclass(frozen=True)
class Sought:
    """All that is of one person.

    `within` are texts that can mean nobody else and are looked for inside others, in lower case, as
    `words` are where those of a text are kept to be searched; `whole` are names that are words too,
    and `digests` are of what only somebody who knows it all could have made.
    """

    names: frozenset[str]
    subjects: frozenset[str]
    values: frozenset[str]
    """Ids of what the vault holds."""
    runs: frozenset[str]
    within: tuple[str, ...]
    words: tuple[str, ...]
    whole: frozenset[str]
    digests: frozenset[str]

    def without(self, text: str) -> str:
        """Return a text without anything that is looked for."""
        if text in self.whole or text in self.digests:
            return ERASED
        return self._pattern.sub(ERASED, text) if self.within else text

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile("|".join(map(re.escape, self.within)), re.IGNORECASE)


def seek(tx: Transaction, names: Iterable[str]) -> Sought:
    """Return what is of a person who is called by these names."""
    said = {one.strip() for one in names if one.strip()}
    called = frozenset(map(name_of, said))
    own_runs = _runs_for(tx, called)
    subjects = _subjects(tx, called | own_runs)
    values, texts, scopes = _values(tx, subjects)
    # what is of nobody by name is of whoever the run is about
    unnamed = _subjects(tx, scopes) - subjects
    if unnamed:
        more, others, _ = _values(tx, unnamed)
        subjects, values, texts = subjects | unnamed, values | more, texts | others
    digests = {one for one in texts if one.startswith("sha256:")}
    digests |= _digests_of(tx, own_runs, digests)
    known = {one for one in said | texts if name_of(one) in called} | called
    within: set[str] = set()
    whole = {f"{kind}/{name}" for name in called for kind in ("person", "user")}
    for one in known:
        if _is_telling(one):
            within.update(form.lower() for form in _forms(one))
        elif "/" in one:
            whole.add(one)
    # what holds another is found by it
    shortest = tuple(
        one for one in sorted(within, key=len)
        if not any(other != one and other in one for other in within)
    )  # fmt: skip
    words = {" ".join(_WORD.findall(one)) for one in shortest}
    return Sought(
        called, frozenset(subjects), frozenset(values), own_runs, shortest, tuple(sorted(words)),
        frozenset(whole), frozenset(digests),
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


def _runs_for(tx: Transaction, names: Collection[str]) -> frozenset[str]:
    behalf = func.lower(runs.c.on_behalf_of)
    conditions: list[ColumnElement[bool]] = [behalf.in_(names)]
    conditions += [behalf.endswith(f"/{name}", autoescape=True) for name in names]
    found = tx.connection.execute(select(runs.c.run, runs.c.on_behalf_of).where(or_(*conditions)))
    return frozenset(row.run for row in found if name_of(row.on_behalf_of) in names)


def _subjects(tx: Transaction, names: Collection[str]) -> set[str]:
    table = data_subjects.c
    return {
        row.subject
        for part in parts(names)
        for row in tx.connection.execute(select(table.subject).where(table.name.in_(part)))
    }


def _values(tx: Transaction, subjects: Collection[str]) -> tuple[set[str], set[str], set[str]]:
    """Return ids, texts and scopes of what is of some subjects, alone or with others."""
    table, ids, scopes = vault_values.c, set[str](), set[str]()
    conditions: list[ColumnElement[bool]] = [table.also.contains(one) for one in subjects]
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


def open_work(tx: Transaction, sought: Sought) -> tuple[list[str], list[str]]:
    """Return runs for the person that go on, and requests about the person that are open."""
    going: list[str] = []
    for part in parts(sought.runs):
        query = select(runs.c.run).where(runs.c.run.in_(part), runs.c.state == "open")
        going += [row.run for row in tx.connection.execute(query)]
    query = select(requests).where(requests.c.state.in_(OPEN))
    waiting = [
        row.request for row in tx.connection.execute(query)
        if row.run in sought.runs or any(_holds(sought, value) for value in row)
    ]  # fmt: skip
    return going, waiting


def _holds(sought: Sought, value: Any) -> bool:
    return isinstance(value, str) and sought.without(value) != value


def holders(tx: Transaction, sought: Sought) -> list[str]:
    """Return the incidents that hold some of it, or everything."""
    table = retention_holds.c
    agents = {
        row.agent
        for part in parts(sought.runs)
        for row in tx.connection.execute(select(runs.c.agent).where(runs.c.run.in_(part)))
    }
    found = tx.connection.execute(
        select(table.holder, table.kind, table.name).where(table.let_go_at.is_(None))
    )
    named = {"run": sought.runs, "agent": agents}
    return sorted(
        {
            row.holder
            for row in found
            if row.kind == "everything" or row.name in named.get(row.kind, ())
        }
    )


def parts(names: Collection[str]) -> Iterator[list[str]]:
    """Yield names in lists that a query takes."""
    ordered = sorted(names)
    return (ordered[at : at + _AT_ONCE] for at in range(0, len(ordered), _AT_ONCE))
