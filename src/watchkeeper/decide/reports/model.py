"""What a report is asked for, and what its tables are made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from watchkeeper.core.clock import utc_text
from watchkeeper.ledger.reading import Pick, read_stretch
from watchkeeper.store.journal import Event
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.data import DataClass
from watchkeeper.wire.reports import Cell, ReportKind, ReportSection

Say = Callable[[Event], str]
"""Puts an entry in words."""
Body = Mapping[str, Any]
body_of = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is asked for; times in microseconds, it ends before `until`."""

    kind: ReportKind
    since: int
    until: int
    rows: int
    """How many rows of a table are listed; all are counted."""
    data: DataClass | None = None
    """Of what class of data, where the report is about that."""
    teams: Collection[str] | None = None
    """The only teams that the asker audits; None: all."""
    agents: Collection[str] | None = None
    """Those of the teams, the only ones whose entries the asker may have; None: all there is."""


@dataclass(slots=True)
class Rows:
    """The rows of one table as they come: the first ones are kept, all are counted."""

    limit: int
    rows: list[tuple[Cell, ...]] = field(default_factory=list)
    total: int = 0

    def add(self, *cells: Cell) -> None:
        """Add a row at the end."""
        self.total += 1
        if len(self.rows) < self.limit:
            self.rows.append(cells)

    def section(self, title: str, says: str, *columns: str) -> ReportSection:
        """Return the table."""
        return ReportSection(
            title=title, says=says, columns=columns, rows=tuple(self.rows), total=self.total
        )


class Kind(Protocol):
    """One kind of report on its way: stretches of the ledger are read and taken in order.

    Reading is done in a transaction, away from the event loop; taking is not repeated.
    """

    @property
    def title(self) -> str:
        """What it is about."""

    @property
    def counted(self) -> str:
        """What an entry has to be to be counted, in words."""

    @property
    def missing(self) -> Sequence[str]:
        """What such a report does not hold."""

    def read(self, tx: Transaction, after: int, upto: int) -> Any:
        """Read a stretch."""

    def take(self, read: Any) -> int:
        """Take what was read; return how many entries count."""

    def finish(self, tx: Transaction) -> None:
        """Read what else there is to be read, after the last stretch."""

    def sections(self) -> Sequence[ReportSection]:
        """Return the tables."""


class Told(ABC):
    """What a report is told by entries, one by one: the base of most kinds."""

    picks: tuple[Pick, ...] = ()

    def __init__(self, asked: Asked, say: Say) -> None:
        self.asked = asked
        self.say = say

    def read(self, tx: Transaction, after: int, upto: int) -> list[Event]:
        """Read the entries that are wanted, with the personal data that is still there."""
        return read_stretch(tx, self.picks, after, upto)

    def take(self, read: list[Event]) -> int:
        """Hear those that the asker may see; return how many."""
        agents, heard = self.asked.agents, 0
        for event in read:
            if agents is None or event.agent in agents:
                heard += 1
                self.hear(event, body_of(event.body_text))
        return heard

    @abstractmethod
    def hear(self, event: Event, body: Body) -> None:
        """Take one entry."""

    def finish(self, tx: Transaction) -> None:  # noqa: B027 - most have nothing to read
        """Read no more."""

    def rows(self) -> Rows:
        """Return a table for rows to be added."""
        return Rows(self.asked.rows)


def at(event: Event) -> str:
    """Return when it was."""
    return utc_text(event.at)


def name_in(subject: str) -> str:
    """Return the name after the kind of a subject: `lock/lock_1` is about `lock_1`."""
    return subject.partition("/")[2] or subject


def who(actor: object) -> str:
    """Return a person, an agent or the plane, as people call it."""
    return str(actor or "").replace("person/", "")


def said(body: Body, name: str) -> str:
    """Return a field as text, empty where there is none."""
    found = body.get(name)
    if found is None or found == "":
        return ""
    return ", ".join(map(str, found)) if isinstance(found, list) else str(found)


def median(values: Sequence[float]) -> float | None:
    """Return the value in the middle; None of nothing."""
    return sorted(values)[len(values) // 2] if values else None


def counted_rows(counts: Mapping[Any, int], limit: int) -> Rows:
    """Return a table of what was counted, the most first; a key is a cell or several."""
    found = Rows(limit)
    for key, number in sorted(counts.items(), key=lambda one: (-one[1], str(one[0]))):
        found.add(*(key if isinstance(key, tuple) else (key,)), number)
    return found
