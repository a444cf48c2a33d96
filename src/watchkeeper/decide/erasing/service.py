"""Erasing a person's data: what it would touch, and doing it.

First the copies in tables and logs go, then, in one unit with its entry, the keys and salts of what
entries commit to: an erasure that is cut off is done again, and finds what is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select, update

from watchkeeper.core.errors import Conflict, Invalid, NotFound
from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.decide.erasing import files
from watchkeeper.decide.erasing.sought import Sought, holders, open_work, seek
from watchkeeper.decide.erasing.sweep import Row, change, in_entries, look, tables
from watchkeeper.store.statement import Row as Stored
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.store.vault import name_of
from watchkeeper.store.vault_tables import data_subjects, vault_values
from watchkeeper.traces import words

_ROWS_AT_ONCE = 100
_ROUNDS = 5
_PAUSE_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Found:
    """What there is of a person, by where it is."""

    sought: Sought
    rows: dict[str, int]
    entries: int
    """Entries that hold the name themselves, which stay."""
    files: tuple[str, ...]
    held_by: tuple[str, ...]
    runs_open: tuple[str, ...]
    requests_open: tuple[str, ...]


class Erasing:
    """Finds and destroys what is of one person."""

    def __init__(
        self, store: Store, view: CatalogueView, state: Path, forget: Callable[[], None]
    ) -> None:
        self._store = store
        self._view = view
        self._state = state
        self._forget = forget
        """Drops what is kept in memory only."""
        self._one = asyncio.Lock()

    async def preview(self, names: Collection[str]) -> Found:
        """Return what there is; raise `Conflict` for somebody of the plane's own people."""
        self._check(names)
        found, _ = await self._look(names)
        return found

    async def erase(
        self, names: Collection[str], *, reason: str, despite: Collection[str], actor: str
    ) -> tuple[Found, int]:
        """Destroy it; return what there was, and the entry that says so.

        Raises `NotFound` if there is nothing; `Conflict` while there is open work for the person,
        or an incident that `despite` does not name holds some of it.
        """
        self._check(names)
        called = {name_of(name) for name in names}
        if any(name in reason.casefold() for name in called):
            raise Invalid("the reason names the person, and it stays", where="reason")
        async with self._one:
            found, rows = await self._look(names)
            _check_free(found, despite)
            if not (rows or found.sought.values or found.sought.subjects or found.files):
                raise NotFound("nothing is kept of anybody of that name")
            await self._sweep(rows)
            self._forget()
            sequence = await self._store.write(
                lambda tx: _destroy(tx, found, reason=reason, despite=despite, actor=actor)
            )
            for _ in range(_ROUNDS):  # what was read before may have been written meanwhile
                rows = await self._store.scan(lambda tx: _rows(tx, found.sought))
                if not rows:
                    break
                await self._sweep(rows)
            await self._store.write(_scrub_index)
            await asyncio.to_thread(files.overwrite, self._state, found.sought.within)
            await self._store.scrub()
        return found, sequence

    async def _sweep(self, rows: list[Row]) -> None:
        for at in range(0, len(rows), _ROWS_AT_ONCE):
            part = rows[at : at + _ROWS_AT_ONCE]
            await self._store.write(lambda tx, part=part: change(tx, part))  # type: ignore[misc]
            await asyncio.sleep(_PAUSE_SECONDS)

    async def subjects(self) -> list[Stored]:
        """Return whose data the vault holds or held: subject, name, since, erased_at, values."""
        table, values = data_subjects.c, vault_values.c
        count = (
            select(func.count())
            .where(values.subject == table.subject)
            .correlate(data_subjects)
            .scalar_subquery()
        )
        query = select(
            table.subject, table.name, table.since, table.erased_at, count.label("kept")
        ).order_by(table.subject.desc())
        return await self._store.scan(lambda tx: list(tx.connection.execute(query)))

    def _check(self, names: Iterable[str]) -> None:
        known = self._view.now.people
        for name in names:
            if name_of(name) in known:
                raise Conflict(
                    f"{name} is one of the plane's people: who decided what stays on record",
                    code="is_staff",
                )

    async def _look(self, names: Collection[str]) -> tuple[Found, list[Row]]:
        def read(tx: Transaction) -> tuple[Found, list[Row]]:
            sought = seek(tx, names)
            rows = _rows(tx, sought)
            counts: dict[str, int] = {}
            for row in rows:
                counts[row.table.name] = counts.get(row.table.name, 0) + 1
            going, waiting = open_work(tx, sought)
            found = Found(
                sought, counts, in_entries(tx, sought), files.holding(self._state, sought.within),
                tuple(holders(tx, sought)), tuple(going), tuple(waiting),
            )  # fmt: skip
            return found, rows

        return await self._store.scan(read)


def _rows(tx: Transaction, sought: Sought) -> list[Row]:
    return [row for table in tables() for row in look(tx, table, sought)]


def _scrub_index(tx: Transaction) -> None:
    tx.silent("an index of what is kept is no record")
    words.scrub(tx)


def _check_free(found: Found, despite: Collection[str]) -> None:
    work = (*found.runs_open, *found.requests_open)
    if work:
        raise Conflict(
            f"work for the person goes on: {', '.join(work[:5])}",
            code="work_is_open",
            remedy="close those runs and decide those requests first",
        )
    held = [one for one in found.held_by if one not in despite]
    if held:
        raise Conflict(
            f"held as evidence of {', '.join(held)}",
            code="held",
            rule=f"incident/{held[0]}",
            remedy="close the incident, or name it with --despite and answer for it",
        )


def _destroy(
    tx: Transaction, found: Found, *, reason: str, despite: Collection[str], actor: str
) -> int:
    subjects, values = sorted(found.sought.subjects), sorted(found.sought.values)
    gone = 0
    for at in range(0, len(values), 500):
        part = values[at : at + 500]
        gone += tx.connection.execute(
            update(vault_values)
            .where(vault_values.c.value.in_(part), vault_values.c.erased_at.is_(None))
            .values(sealed=None, handle=None, erased_at=tx.now)
        ).rowcount
    tx.connection.execute(
        update(data_subjects)
        .where(data_subjects.c.subject.in_(subjects))
        .values(name=None, sealed_key=None, erased_at=tx.now)
    )
    tx.after_commit(tx.vault.forget)
    subject = subjects[0] if subjects else tx.new_id("sub")
    return tx.record(
        "subject.erased",
        actor=actor,
        subject=f"subject/{subject}",
        body={
            "subjects": subjects,
            "values": gone,
            "rows": sum(found.rows.values()),
            "entries": found.entries,
            "despite": [one for one in found.held_by if one in despite],
            "reason": reason,
            "text": f"data of {subject} was erased: {reason}",
        },
    )
