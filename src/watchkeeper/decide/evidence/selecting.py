"""Which entries of the ledger a bundle is about, in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select

from watchkeeper.core.errors import NotFound
from watchkeeper.decide.incidents.timeline import read_timeline, scope_of
from watchkeeper.incidents import service as incidents
from watchkeeper.ledger.reading import LARGEST_WINDOW, first_at, read_about, read_events
from watchkeeper.store.journal import Event, event_from_row, events
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

Page = Callable[[Transaction, int], list[Event]]
"""Returns entries after one, oldest first; none at the end."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a bundle is asked for. Times in microseconds; a period ends before its end."""

    kind: Literal["run", "request", "incident", "period"]
    name: str = ""
    run: str = ""
    """Of a request: the run that it was made in, whose entries come along up to its end."""
    begins: int = 0
    ends: int = 0
    agents: frozenset[str] | None = None
    """Of a period: the only agents whose entries the asker may have; None: all there is."""

    def words(self) -> dict[str, str | int]:
        """Return it as the manifest and the ledger say it."""
        if self.kind == "period":
            return {"kind": self.kind, "begins": self.begins, "ends": self.ends}
        return {"kind": self.kind, "name": self.name}


async def entries(store: Store, asked: Asked, upto: int) -> AsyncIterator[list[Event]]:
    """Return the entries that are asked for, of the first `upto`, oldest first, in pages.

    Raises `NotFound` where there are none.
    """
    page = await store.scan(lambda tx: _pages(tx, asked, upto))
    after = found = 0
    while batch := await store.scan(lambda tx, after=after: page(tx, after)):  # type: ignore[misc]
        found += 1
        after = batch[-1].sequence
        if asked.agents is not None:
            batch = [event for event in batch if event.agent in asked.agents]
        yield await store.scan(lambda tx, batch=batch: read_as_hashed(tx, batch))  # type: ignore[misc]
    if not found:
        raise NotFound("the ledger has no entry about that")


def read_as_hashed(tx: Transaction, found: Sequence[Event]) -> list[Event]:
    """Return entries again as they were hashed: with commitments in place of personal data."""
    query = select(events).where(events.c.sequence.in_([event.sequence for event in found]))
    rows = tx.connection.execute(query.order_by(events.c.sequence))
    return [event_from_row(row) for row in rows]


def _pages(tx: Transaction, asked: Asked, upto: int) -> Page:
    if asked.kind == "period":
        first, last = (first_at(tx, at, upto) for at in (asked.begins, asked.ends))
        return lambda tx, after: read_events(
            tx, after=max(after, first - 1), before=last, limit=LARGEST_WINDOW
        )
    if asked.kind == "incident":
        return lambda tx, after: _incident(tx, asked.name, after, upto)
    about, before = [("run", asked.name)], upto + 1
    if asked.kind == "request":
        newest = read_events(tx, request=asked.name, before=before, limit=1, newest_first=True)
        about = [("request", asked.name), ("run", asked.run)]
        before = newest[0].sequence + 1 if newest else 0
    return lambda tx, after: read_about(tx, about, after=after, before=before, limit=LARGEST_WINDOW)


def _incident(tx: Transaction, incident: str, after: int, upto: int) -> list[Event]:
    row = incidents.find(tx, incident)
    scope = scope_of(tx, incident, upto)
    found, _ = read_timeline(
        tx, row, after=after, before=upto + 1, limit=LARGEST_WINDOW - 1, scope=scope
    )
    return found
