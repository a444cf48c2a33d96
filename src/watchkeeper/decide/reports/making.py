"""Making reports: the ledger is read stretch by stretch, away from the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy import func, select

from watchkeeper import __version__
from watchkeeper.core.clock import utc_text
from watchkeeper.core.errors import TooMany, Unavailable
from watchkeeper.core.words import count
from watchkeeper.decide.reports.access import Access
from watchkeeper.decide.reports.approvals import Approvals
from watchkeeper.decide.reports.controls import Controls
from watchkeeper.decide.reports.kills import Kills
from watchkeeper.decide.reports.model import Asked, Kind, Say
from watchkeeper.decide.reports.operators import Operators
from watchkeeper.decide.reports.policies import Policies
from watchkeeper.decide.reports.spending import Spending
from watchkeeper.ledger.checkpoints import covering, read_keys
from watchkeeper.ledger.reading import first_at, read_events
from watchkeeper.ledger.service import LedgerAudit
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.store.vault_tables import data_subjects
from watchkeeper.wire.erasing import ERASED
from watchkeeper.wire.reports import Report, ReportSource

STRETCH = 10_000
"""Entries that are looked through at once."""
MOST_AT_ONCE = 2
Gone = Callable[[], Awaitable[bool]]
"""Tells whether who asked does not wait any more."""
_KINDS: dict[str, Callable[[Asked, Say], Kind]] = {
    "access": Access,
    "approvals": Approvals,
    "kills": Kills,
    "policies": Policies,
    "operators": Operators,
    "spending": Spending,
    "controls": Controls,
}


@dataclass(slots=True)
class _Progress:
    by: str
    done: int = 0
    total: int = 0


class Reporting:
    """Makes reports, a few at once, and knows how far each is."""

    def __init__(self, store: Store, audit: LedgerAudit, plane: str) -> None:
        self._store = store
        self._audit = audit
        self._plane = plane
        self._running: list[_Progress] = []

    def progress(self, by: str) -> tuple[int, int]:
        """Return how many entries somebody's newest report has looked through, of how many."""
        mine = [one for one in self._running if one.by == by]
        return (mine[-1].done, mine[-1].total) if mine else (0, 0)

    async def make(self, asked: Asked, say: Say, *, by: str, gone: Gone) -> Report:
        """Return a report; raise `TooMany` while others are made."""
        if len(self._running) >= MOST_AT_ONCE:
            raise TooMany(
                f"{MOST_AT_ONCE} reports are being made",
                code="busy",
                remedy="try again in a minute",
            )
        one = _Progress(by)
        self._running.append(one)
        try:
            return await self._make(asked, say, one, gone)
        finally:
            self._running.remove(one)

    async def _make(self, asked: Asked, say: Say, one: _Progress, gone: Gone) -> Report:
        store, upto, now = self._store, self._store.head, self._store.clock.now()
        kind = await asyncio.to_thread(_KINDS[asked.kind], asked, say)
        words = {
            "kind": asked.kind,
            "since": asked.since,
            "until": asked.until,
            "data": asked.data,
            "text": f"{one.by.removeprefix('person/')} had a report made on "
            f"{asked.data or asked.kind} from {utc_text(asked.since)} to {utc_text(asked.until)}",
        }
        await store.write(
            lambda tx: tx.record("report.made", actor=one.by, subject=f"report/{asked.kind}",
                                 body=words)
        )  # fmt: skip
        first, after = await store.scan(
            lambda tx: (first_at(tx, asked.since, upto), first_at(tx, asked.until, upto))
        )
        last = after - 1
        one.total = max(0, last - first + 1)
        counted = 0
        for start in range(first - 1, last, STRETCH):
            end = min(start + STRETCH, last)
            read = await store.scan(lambda tx, start=start, end=end: kind.read(tx, start, end))  # type: ignore[misc]
            counted += await asyncio.to_thread(kind.take, read)
            one.done = end - first + 1
            if await gone():
                raise Unavailable("nobody waits for the report any more", code="gone")
        await store.scan(kind.finish)
        sections = await asyncio.to_thread(kind.sections)
        source = await self._source(first, last, counted)
        general = await store.scan(lambda tx: _missing(tx, asked, upto, now))
        return Report(
            kind=asked.kind,
            title=f"{kind.title}: {asked.data}" if asked.data else kind.title,
            since=asked.since,
            until=asked.until,
            over=now >= asked.until,
            produced_at=now,
            produced_by=one.by.removeprefix("person/"),
            teams=None if asked.teams is None else tuple(sorted(asked.teams)),
            plane=self._plane,
            program=f"watchkeeper {__version__}",
            counted=kind.counted,
            source=source,
            missing=(*kind.missing, *general),
            sections=tuple(sections),
        )

    async def _source(self, first: int, last: int, counted: int) -> ReportSource:
        """Say what the entries are proven by; what no checkpoint covers yet is signed now."""
        if last < first:
            return ReportSource()
        log = self._audit.log
        origin = log.key.name
        row = await self._store.read(lambda tx: covering(tx, last, origin))
        if row is None:
            await log.advance(now=True)
            row = await self._store.read(lambda tx: covering(tx, last, origin))
        anchored = [
            one.size
            for one in self._audit.anchoring.standings
            if one.last is not None and one.last.note.startswith(f"{origin}\n")
        ]
        source = ReportSource(first=first, last=last, entries=last - first + 1, counted=counted,
                              anchored=max(anchored, default=0))  # fmt: skip
        if row is None:
            return source
        signed = {"origin": row.origin, "checkpoint": row.id, "size": row.size, "root": row.root,
                  "signed_at": row.at}  # fmt: skip
        return source.model_copy(update=signed)


def _missing(tx: Transaction, asked: Asked, upto: int, now: int) -> list[str]:
    """Say what cannot be in any report of a period."""
    found = []
    oldest = read_events(tx, limit=1)
    if oldest and oldest[0].at > asked.since:
        found.append(f"anything before {utc_text(oldest[0].at)}: the ledger begins there")
    if now < asked.until:
        found.append(f"what happens after entry {upto:,}: the period is not over")
    if asked.agents is not None:
        found.append(
            "entries that are about no agent of these teams, e.g. locks on everything, documents "
            "and people"
        )
    forks = [row for row in read_keys(tx) if row.cause == "forked"]
    if forks:
        found.append(
            f"what was lost when the ledger was put back: {count(len(forks), 'time')}, last to "
            f"before entry {forks[-1].lost_size or 0:,}"
        )
    erased = select(func.count()).where(data_subjects.c.erased_at.is_not(None))
    number = tx.connection.execute(erased).scalar_one()
    if number:
        whose = count(number, "person")
        found.append(f"personal data of {whose} that was erased: it stands as {ERASED}")
    return found
