"""A ledger written by hand, and reports made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ledger.ground import NAME
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.decide.reports.making import Reporting
from watchkeeper.decide.reports.model import Asked
from watchkeeper.ledger.log import Log
from watchkeeper.ledger.service import LedgerAudit
from watchkeeper.store.journal import Event
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.reports import Cell, Report, ReportKind

START = 1_795_000_000_000_000
ADA, BOB = "person/ada", "person/bob"


def in_words(event: Event) -> str:
    """Stand in for the API's words."""
    return f"{event.type} {event.sequence}"


@dataclass
class Ground:
    """A store with its log and what makes reports."""

    store: Store
    clock: RehearsalClock
    audit: LedgerAudit
    reporting: Reporting

    async def tell(
        self,
        type_: str,
        subject: str = "thing/x",
        actor: str = ADA,
        *,
        agent: str | None = None,
        run: str | None = None,
        request: str | None = None,
        after: float = 1,
        **body: Any,
    ) -> int:
        """Record one entry, some seconds after the one before; return its number."""
        self.clock.advance(after)

        def unit(tx: Transaction) -> int:
            return tx.record(
                type_, actor=actor, subject=subject, agent=agent, run=run, request=request,
                body=body,
            )  # fmt: skip

        return await self.store.write(unit)

    async def call(self, agent: str, verdict: str = "permitted", **body: Any) -> int:
        """Record a decision on a call of a tool."""
        known: Mapping[str, Any] = {
            "decision": "dec_1", "kind": "tool", "name": "books.mail", "version": 2,
            "rule": "contract/clerk/tools", "policies": "sha256:1", **body,
        }  # fmt: skip
        return await self.tell(
            f"decision.{verdict}", "decision/dec_1", f"agent/{agent}", agent=agent, run="run_1",
            **known,
        )  # fmt: skip

    async def report(self, kind: ReportKind, **more: Any) -> Report:
        """Make a report of all there is, unless told otherwise."""

        async def never() -> bool:
            return False

        known: dict[str, Any] = {"since": 0, "until": self.clock.now() + 1, "rows": 1000, **more}
        asked = Asked(kind, **known)
        return await self.reporting.make(asked, in_words, by=BOB, gone=never)


async def open_ground(url: str, directory: Path) -> Ground:
    """Open a store with its log."""
    clock = RehearsalClock(frozen=True, start=START)
    store = await Store.open(url, clock)
    log = Log(store, directory, NAME)
    await log.open()
    audit = LedgerAudit(log)
    return Ground(store, clock, audit, Reporting(store, audit, "plane-1"))


def table(report: Report, title: str) -> list[tuple[Cell, ...]]:
    """Return the rows of one table."""
    (found,) = [one for one in report.sections if one.title == title]
    return list(found.rows)
