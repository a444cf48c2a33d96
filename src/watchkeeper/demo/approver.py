"""A scripted approver for rehearsals without a screen: it decides by rule, and says so.

It acts over the API as the person who runs the plane. Every reason begins with `SCRIPTED`,
so that nobody takes its decisions in the ledger for a person's.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from watchkeeper.client.api import PlaneClient
from watchkeeper.core.errors import Conflict, Forbidden, NotFound, Unavailable
from watchkeeper.core.money import MICROS
from watchkeeper.wire.budgets import BudgetRow, TopUp
from watchkeeper.wire.requests import RequestRow, Vote

LABEL = "SCRIPTED"
REJECT_FROM_MICROS = 1_000 * MICROS
LEFT_ALONE = "cloud-operations"
"""The first request of this agent is left to run out."""
POLL_SECONDS = 0.3
SETTLED_BY_OTHERS = (Conflict, Forbidden, NotFound, Unavailable)
log = logging.getLogger("watchkeeper.demo")


@dataclass(slots=True)
class ScriptedApprover:
    """Approves what is small, rejects what is large, leaves one request to expire."""

    client: PlaneClient
    approved: set[str] = field(default_factory=set)
    rejected: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    topped_up: set[str] = field(default_factory=set)

    async def work(self) -> None:
        """Decide what waits until cancelled."""
        while True:
            try:
                page = await self.client.requests(state="pending", limit=100)
                for row in page.rows:
                    await self._decide(row)
                await self._top_up()
            except SETTLED_BY_OTHERS as error:
                log.info("scripted approver: %s", error)
            await asyncio.sleep(POLL_SECONDS)

    def verdict(self, row: RequestRow) -> tuple[str, str] | None:
        """Return approve or reject with the reason; None to leave the request alone."""
        if row.request in self.left:
            return None
        if row.agent == LEFT_ALONE and not self.left:
            self.left.add(row.request)
            return None
        if row.amount_micros is not None and row.amount_micros >= REJECT_FROM_MICROS:
            return "reject", f"{LABEL}: a thousand dollars and more are for a person to decide"
        return "approve", f"{LABEL}: below a thousand dollars"

    async def _decide(self, row: RequestRow) -> None:
        if row.request in self.approved | self.rejected or not row.mine:
            return
        said = self.verdict(row)
        if said is None:
            return
        verdict, reason = said
        vote = Vote(
            verdict="approve" if verdict == "approve" else "reject",
            digest=row.digest,
            reason=reason,
        )
        await self.client.vote(row.request, vote)
        (self.approved if verdict == "approve" else self.rejected).add(row.request)

    async def _top_up(self) -> None:
        """Double each used-up budget of a team once; a run's own budget is left to end the run."""
        for row in await self._team_budgets():
            if row.state != "exhausted" or row.budget in self.topped_up:
                continue
            reason = f"{LABEL}: topped up once"
            await self.client.top_up(row.budget, TopUp(amount=max(1, row.cap), reason=reason))
            self.topped_up.add(row.budget)

    async def _team_budgets(self) -> list[BudgetRow]:
        found: list[BudgetRow] = []
        after: str | None = None
        while True:
            page = await self.client.budgets(filter="team/", after=after, limit=100)
            found += page.rows
            after = page.next
            if after is None:
                return found
