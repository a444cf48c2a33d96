"""Named queries over the ledger, counted in one pass over it, with example entries."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, case, func, select

from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.decide.reports.model import Say
from watchkeeper.ledger.anchors.service import anchorings
from watchkeeper.ledger.checkpoints import checkpoints
from watchkeeper.ledger.reading import Pick, read_events
from watchkeeper.store.journal import events
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction

EXAMPLES = 3
_DAY = 86_400 * MICROSECONDS


class Query(BaseModel):
    """One query, as the mapping of controls has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    says: str
    """What it counts."""
    types: tuple[str, ...] = ()
    containing: str = ""
    without: str = ""
    """What the body's text must not contain."""
    by: str = ""
    of: Literal["entries", "checkpoints", "anchorings", "days"] = "entries"
    """`days`: for how many the ledger reaches back from the end of the period."""

    def takes(self, type_: str) -> bool:
        """Tell whether it is about entries of a type."""
        return any(
            type_.startswith(one) if one.endswith(".")
            else type_.endswith(one) if one.startswith(".")
            else type_ == one
            for one in self.types
        )  # fmt: skip

    def words(self) -> str:
        """Say what it selects."""
        parts = [
            f"types {', '.join(self.types)}" if self.types else "",
            f"body contains {self.containing}" if self.containing else "",
            f"body does not contain {self.without}" if self.without else "",
            f"actor begins with {self.by}" if self.by else "",
        ]
        return "; ".join(filter(None, parts)) or f"of {self.of}"


@dataclass(slots=True)
class Count:
    """What a query found."""

    number: int = 0
    sequences: list[int] = field(default_factory=list)
    """Some entries: the first one and the last ones."""
    examples: list[str] = field(default_factory=list)

    def add(self, number: int, first: int, last: int) -> None:
        """Add what a stretch has; stretches come in order."""
        self.number += number
        self.sequences = sorted({*self.sequences, first, last})
        if len(self.sequences) > EXAMPLES:
            self.sequences = [self.sequences[0], *self.sequences[-(EXAMPLES - 1) :]]


class Counting:
    """Counts what some queries find, stretch by stretch."""

    def __init__(self, queries: Mapping[str, Query], agents: Collection[str] | None) -> None:
        self.queries = queries
        self.counts = {name: Count() for name in queries}
        self._agents = agents
        self._of_entries = {name: query for name, query in queries.items() if query.of == "entries"}
        needles = {one for query in queries.values() for one in (query.containing, query.without)}
        self._needles = sorted(needles - {""})
        self._actors = sorted({query.by for query in queries.values()} - {""})

    def read(self, tx: Transaction, after: int, upto: int) -> list[Row]:
        """Count the entries of a stretch by type, agent, and what tells queries apart."""
        flags = [self._flag(needle).label(f"n{place}")
                 for place, needle in enumerate(self._needles)]  # fmt: skip
        flags += [
            case((events.c.actor.startswith(by, autoescape=True), 1), else_=0).label(f"a{place}")
            for place, by in enumerate(self._actors)
        ]
        number = events.c.sequence
        # grouped by names: an engine may not see that an expression with parameters is the same
        one = (
            select(events.c.type, events.c.agent, *flags, number)
            .where(number > after, number <= upto)
            .subquery()
        )
        names = [column for column in one.c if column.name != number.name]
        counted = one.c[number.name]
        query = select(*names, func.count(), func.min(counted), func.max(counted)).group_by(*names)
        return list(tx.connection.execute(query))

    def _flag(self, needle: str) -> ColumnElement[int]:
        """Look for a text in those bodies only that a query asks it of."""
        asking = [query for query in self._of_entries.values()
                  if needle in (query.containing, query.without)]  # fmt: skip
        pick = Pick(tuple(dict.fromkeys(one for query in asking for one in query.types)), needle)
        return case((pick.condition(), 1), else_=0)

    def take(self, read: Sequence[Row]) -> int:
        """Add up; return how many entries some query counts."""
        counted = 0
        for row in read:
            type_, agent, *flags, number, first, last = row
            if self._agents is not None and agent not in self._agents:
                continue
            has = dict(zip((*self._needles, *self._actors), flags, strict=True))
            found = [
                name for name, query in self._of_entries.items()
                if query.takes(type_) and has.get(query.containing, 1)
                and not has.get(query.without, 0) and has.get(query.by, 1)
            ]  # fmt: skip
            for name in found:
                self.counts[name].add(number, first, last)
            counted += number if found else 0
        return counted

    def finish(self, tx: Transaction, since: int, until: int, say: Say) -> None:
        """Read the examples, and count what is no entry."""
        wanted = {one for count in self.counts.values() for one in count.sequences}
        texts = {sequence: _example(tx, sequence, say) for sequence in sorted(wanted)}
        for name, query in self.queries.items():
            count = self.counts[name]
            count.examples = [texts[one] for one in count.sequences]
            if query.of == "checkpoints":
                within = (checkpoints.c.at >= since, checkpoints.c.at < until)
                found = select(func.count(), func.max(checkpoints.c.size)).where(*within)
                count.number, size = tx.connection.execute(found).one()
                count.examples = [f"the newest over {size:,} entries"] if count.number else []
            elif query.of == "anchorings":
                within = (anchorings.c.at >= since, anchorings.c.at < until)
                taken = select(anchorings.c.anchor, func.count()).where(*within)
                rows = list(tx.connection.execute(taken.group_by(anchorings.c.anchor)))
                count.number = sum(row[1] for row in rows)
                count.examples = [f"{row[0]}: {row[1]:,}" for row in rows[:EXAMPLES]]
            elif query.of == "days":
                oldest = read_events(tx, limit=1)
                if oldest:
                    count.number = max(0, min(until, tx.now) - oldest[0].at) // _DAY
                    count.examples = [f"the first entry is of {utc_text(oldest[0].at)}"]


def _example(tx: Transaction, sequence: int, say: Say) -> str:
    (event,) = read_events(tx, after=sequence - 1, before=sequence + 1, limit=1)
    return f"{sequence} ({utc_text(event.at)}): {say(event)}"
