"""Erasing a person's data: what it would touch, and doing it.

In one unit it is seen that nothing stands in the way, the keys are destroyed, and that is put on
record with what is left to be done: the copies. Only when none is found any more the erasure is
on record as ended. One that is cut off goes on by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import func, select

from watchkeeper.core.errors import Conflict, Invalid, NotFound, Unavailable
from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.decide.erasing import files, records, sweep
from watchkeeper.decide.erasing.hindrances import (
    Newest,
    check_free,
    held_about,
    holders,
    newest,
    open_requests,
    open_runs,
)
from watchkeeper.decide.erasing.records import Plan
from watchkeeper.decide.erasing.sought import Sought, seek, subjects_of
from watchkeeper.decide.erasing.sweep import Row, in_entries, look, tables
from watchkeeper.store.retention import Held
from watchkeeper.store.statement import Row as Stored
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.store.vault import name_of
from watchkeeper.store.vault_tables import data_subjects, vault_values
from watchkeeper.traces import words

_LOG = logging.getLogger("watchkeeper.erasing")
ROWS_AT_ONCE = 100
"""How many rows one unit changes."""
_ROUNDS = 5
_PAUSE_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Found:
    """What there is of a person, by where it is."""

    sought: Sought
    rows: Mapping[str, int]
    entries: int
    """Entries that hold the name themselves, which stay."""
    files: tuple[str, ...]
    held_by: tuple[str, ...]
    runs_open: tuple[str, ...]
    requests_open: tuple[str, ...]
    about: frozenset[Held]
    """By what a hold would keep some of it."""
    upto: Newest


class Erased(NamedTuple):
    """An erasure that ended: what there was, what was done, and the entry that says so."""

    found: Found
    erasure: str
    sequence: int


class Erasing:
    """Finds and destroys what is of one person."""

    def __init__(
        self,
        store: Store,
        view: CatalogueView,
        state: Path,
        *,
        settle: Callable[[], Awaitable[object]],
    ) -> None:
        self._store = store
        self._view = view
        self._state = state
        self._settle = settle
        """Drops what is kept in memory only, and has what is on its way to a table written."""
        self._one = asyncio.Lock()

    async def preview(self, names: Collection[str]) -> Found:
        """Return what there is; raise `Conflict` for somebody of the plane's own people."""
        self._check(names)
        return await self._look(names)

    async def erase(
        self, names: Collection[str], *, reason: str, despite: Collection[str], actor: str
    ) -> Erased:
        """Destroy it, and say what there was.

        Raises `NotFound` if there is nothing; `Conflict` while there is open work for the person,
        or an incident that `despite` does not name, or a legal hold, keeps some of it;
        `Unavailable` where the keys are destroyed and some copy could not be yet.
        """
        self._check(names)
        called = {name_of(name) for name in names}
        if any(name in reason.casefold() for name in called):
            raise Invalid("the reason names the person, and it stays", where="reason")
        async with self._one:
            found = await self._look(names)
            check_free((*found.runs_open, *found.requests_open), found.held_by, despite)
            if not (found.rows or found.sought.values or found.sought.subjects or found.files):
                raise NotFound("nothing is kept of anybody of that name")
            plan = await self._store.write(
                lambda tx: _begin(tx, found, reason=reason, despite=despite, actor=actor)
            )
            return Erased(found, plan.erasure, await self._finish(plan))

    async def go_on(self) -> None:
        """Finish what was begun and cut off."""
        if self._one.locked():
            return
        async with self._one:
            for row in await self._store.read(records.unfinished):
                plan = await self._store.read(lambda tx, row=row: records.plan_of(tx, row))  # type: ignore[misc]
                if plan is not None:
                    await self._finish(plan)
                    _LOG.info("erasure %s was cut off, and is finished", row.erasure)

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

    async def _finish(self, plan: Plan) -> int:
        """Remove every copy, see that none is left, and put that on record."""
        await self._settle()
        while await self._empty(plan):
            pass
        for _ in range(_ROUNDS):  # what was read before may have been written meanwhile
            rows = await self._store.scan(lambda tx: rows_of(tx, plan.sought))
            if not rows:
                break
            await self._sweep(plan, rows)
        else:
            raise _unfinished(plan, "copies are still being written")
        await self._store.write(_scrub_index)
        await asyncio.to_thread(files.overwrite, self._state, plan.sought.within)
        if not await self._store.scrub():
            raise _unfinished(plan, "somebody reads the database, so its log cannot be emptied")
        sequence = await self._store.write(lambda tx: records.end(tx, plan))
        await self._store.scrub()
        return sequence

    async def _empty(self, plan: Plan) -> int:
        emptied = await self._store.write(lambda tx: records.empty_values(tx, plan))
        await asyncio.sleep(_PAUSE_SECONDS)
        return emptied

    async def _sweep(self, plan: Plan, rows: list[Row]) -> None:
        for at in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[at : at + ROWS_AT_ONCE]

            def take(tx: Transaction, part: list[Row] = part) -> None:
                sweep.change(tx, part)
                records.count_swept(tx, plan, len(part))

            await self._store.write(take)
            await asyncio.sleep(_PAUSE_SECONDS)

    def _check(self, names: Iterable[str]) -> None:
        known = self._view.now.people
        for name in names:
            if name_of(name) in known:
                raise Conflict(
                    f"{name} is one of the plane's people: who decided what stays on record",
                    code="is_staff",
                )

    async def _look(self, names: Collection[str]) -> Found:
        found = await self._store.scan(lambda tx: _look(tx, names))
        within = found.sought.within
        logs = await asyncio.to_thread(files.holding, self._state, within)
        return replace(found, files=logs)


def rows_of(tx: Transaction, sought: Sought) -> list[Row]:
    """Return every row that holds something of a person, and what is to stand there."""
    return [row for table in tables() for row in look(tx, table, sought)]


def _look(tx: Transaction, names: Collection[str]) -> Found:
    sought, about = seek(tx, names), set[Held]()
    counts: dict[str, int] = {}
    for row in rows_of(tx, sought):
        counts[row.table.name] = counts.get(row.table.name, 0) + 1
        about |= row.about
    about |= held_about(tx, sought)
    return Found(
        sought, counts, in_entries(tx, sought), (), tuple(holders(tx, about)),
        tuple(open_runs(tx, sought)), tuple(open_requests(tx, sought)), frozenset(about),
        newest(tx),
    )  # fmt: skip


def _begin(
    tx: Transaction, found: Found, *, reason: str, despite: Collection[str], actor: str
) -> Plan:
    """See that nothing came into the way meanwhile, and destroy the keys."""
    sought = found.sought
    held_by = holders(tx, found.about)
    work = (*open_runs(tx, sought, found.upto.run), *open_requests(tx, sought, found.upto.request))
    check_free(work, held_by, despite)
    people = sought.people | subjects_of(tx, sought.names)
    sought = replace(sought, people=people, subjects=sought.subjects | people)
    told = {
        "values": len(sought.values),
        "rows": sum(found.rows.values()),
        "entries": found.entries,
        "despite": [one for one in held_by if one in despite],
    }
    return records.begin(tx, sought, actor=actor, reason=reason, told=told)


def _scrub_index(tx: Transaction) -> None:
    tx.silent("an index of what is kept is no record")
    words.scrub(tx)


def _unfinished(plan: Plan, why: str) -> Unavailable:
    return Unavailable(
        f"the keys are destroyed, but {why}",
        code="erasure_unfinished",
        where=f"erasure {plan.erasure}",
        remedy="the plane goes on with it; see `watchkeeper audit erasures`",
    )
