"""Fleet: what every agent is doing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from watchkeeper.console.actions import Action
from watchkeeper.console.blocks import Block
from watchkeeper.console.columns import Column
from watchkeeper.console.dialogs.killing import kill_action, lift_action
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, span
from watchkeeper.console.pane import Pane
from watchkeeper.console.views import agents as view
from watchkeeper.core.errors import NotFound
from watchkeeper.wire.agents import AgentRow, RunRow
from watchkeeper.wire.budgets import BudgetRow
from watchkeeper.wire.pages import Page

MOST_BUDGETS = 8
KEPT_SECONDS = 2.0
"""How long an agent's detail, a dozen reads, is kept while its state stays the same."""


class FleetPane(Pane[AgentRow]):
    """All agents with what they do, or why they do not."""

    key = "fleet"
    title = "Fleet"
    columns = (
        Column("state", "STATE", 12),
        Column("agent", "AGENT", 18, least=15, grow=1),
        Column("doing", "DOING", 40, least=26, grow=3),
        Column("calls", "CALLS/H", 7, align="right", priority=2),
        Column("denied", "DENIED/H", 8, align="right", priority=3),
        Column("spend", "SPEND/H", 8, align="right", priority=1),
        Column("seen", "SEEN", 5, align="right", priority=4),
        Column("owner", "OWNER", 14, priority=5),
    )
    empty = "No agents yet. Apply their contracts: watchkeeper apply -f DIRECTORY"
    watched = (
        "agent.",
        "contract.",
        "run.",
        "decision.",
        "outcome.",
        "request.",
        "budget.",
        "lock.",
    )

    async def fetch(self, after: str | None, limit: int, filter: str) -> Page[AgentRow]:
        """Read a page of the fleet."""
        return await self.desk.client.agents(after=after, limit=limit, filter=filter or None)

    def row_id(self, row: AgentRow) -> str:
        """The agent's name."""
        return row.name

    def cells(self, row: AgentRow, moment: Moment) -> Mapping[str, Span]:
        """One line."""
        return view.cells(row, moment)

    _kept: tuple[tuple[object, ...], float, view.AgentFile] | None = None

    async def fetch_detail(self, row: AgentRow) -> view.AgentFile:
        """Read the agent with its budgets, runs, decisions and locks."""
        standing = (row.name, row.version, row.state, row.locks, row.open_runs)
        now = time.monotonic()
        if self._kept is None or self._kept[0] != standing or now - self._kept[1] > KEPT_SECONDS:
            self._kept = (standing, now, await self._read_file(row))
        return self._kept[2]

    async def _read_file(self, row: AgentRow) -> view.AgentFile:
        client = self.desk.client
        detail, runs, decisions, locks = await asyncio.gather(
            client.agent(row.name),
            client.runs(agent=row.name, limit=8),
            client.decisions(agent=row.name, limit=12),
            client.locks(),
        )
        named = [name for name in detail.budgets if "*" not in name][:MOST_BUDGETS]
        standing, of_run = await asyncio.gather(
            asyncio.gather(*(self._budget(name) for name in named)), self._of_run(runs.rows)
        )
        return view.AgentFile(
            detail,
            budgets=[*(row for row in standing if row is not None), *of_run],
            runs=runs.rows,
            decisions=decisions.rows,
            locks=[lock for lock in locks.rows if lock.lock in detail.locks],
        )

    async def _budget(self, budget: str) -> BudgetRow | None:
        try:
            return await self.desk.client.budget(budget)
        except NotFound:
            # nothing was drawn on it yet
            return None

    async def _of_run(self, runs: Sequence[RunRow]) -> Sequence[BudgetRow]:
        """Read the budgets of the newest run that is still open."""
        newest = next((run for run in runs if run.closed_at is None), None)
        if newest is None:
            return ()
        return (await self.desk.client.budgets(scope=f"run/{newest.run}")).rows

    def blocks(self, row: AgentRow, detail: Any, moment: Moment) -> Sequence[Block]:
        """Write the agent."""
        if not isinstance(detail, view.AgentFile):
            return view.brief_blocks(row, moment)
        return view.detail_blocks(detail, moment)

    def caption(self) -> Sequence[Span]:
        """How many in which state, and what is down."""
        spans: list[Span] = []
        if self.window.complete and len(self.window):
            spans.append(span(view.fleet_words(self.rows)))
        status = self.desk.status
        if status is not None and status.upstreams_down:
            lead = " · " if spans else ""
            down = ", ".join(status.upstreams_down)
            spans.append(span(f"{lead}■ down: {down}", "critical"))
        return spans

    def actions(self) -> Sequence[Action]:
        """Stop or let go."""
        return (kill_action(self), lift_action(self))
