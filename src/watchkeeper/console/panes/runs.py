"""Runs: the pieces of work, newest first."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from watchkeeper.console.actions import Action
from watchkeeper.console.blocks import Block
from watchkeeper.console.columns import Column
from watchkeeper.console.dialogs.killing import kill_action
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span
from watchkeeper.console.pane import Pane
from watchkeeper.console.views import runs as view
from watchkeeper.wire.agents import RunRow
from watchkeeper.wire.pages import Page


class RunsPane(Pane[RunRow]):
    """What each run is for, did and cost."""

    key = "runs"
    title = "Runs"
    columns = (
        Column("age", "AGE", 5),
        Column("state", "STATE", 11),
        Column("agent", "AGENT", 18, least=15, grow=1),
        Column("goal", "GOAL", 40, least=28, grow=3),
        Column("object", "ABOUT", 16, priority=5),
        Column("calls", "CALLS", 5, align="right", priority=2),
        Column("denied", "DENIED", 6, align="right", priority=3),
        Column("spend", "SPEND", 8, align="right", priority=1),
        Column("tokens", "TOKENS", 7, align="right", priority=6),
    )
    empty = "No runs yet. They show up as soon as an agent opens one."
    watched = ("run.", "decision.", "outcome.", "lock.")

    async def fetch(self, after: str | None, limit: int, filter: str) -> Page[RunRow]:
        """Read a page of runs."""
        return await self.desk.client.runs(after=after, limit=limit, filter=filter or None)

    def row_id(self, row: RunRow) -> str:
        """The run's id."""
        return row.run

    def cells(self, row: RunRow, moment: Moment) -> Mapping[str, Span]:
        """One line."""
        return view.cells(row, moment)

    async def fetch_detail(self, row: RunRow) -> view.RunFile:
        """Read the run and its decisions."""
        detail, decisions = await asyncio.gather(
            self.desk.client.run(row.run), self.desk.client.decisions(run=row.run, limit=50)
        )
        return view.RunFile(detail, decisions.rows)

    def blocks(self, row: RunRow, detail: Any, moment: Moment) -> Sequence[Block]:
        """Write the run."""
        if not isinstance(detail, view.RunFile):
            return view.blocks(row, moment)
        return view.blocks(detail.detail, moment, detail.decisions)

    def actions(self) -> Sequence[Action]:
        """Stop it."""
        return (kill_action(self),)
