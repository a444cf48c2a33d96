"""Runs: the pieces of work, newest first."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from watchkeeper.console.actions import Action
from watchkeeper.console.blocks import Block
from watchkeeper.console.columns import Column
from watchkeeper.console.dialogs import asking
from watchkeeper.console.dialogs.exporting import evidence_action
from watchkeeper.console.dialogs.killing import kill_action
from watchkeeper.console.filters import read_filter
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span
from watchkeeper.console.pane import Pane
from watchkeeper.console.views import comparing
from watchkeeper.console.views import runs as view
from watchkeeper.core.errors import Invalid
from watchkeeper.core.money import micros_from_text
from watchkeeper.wire.agents import RunRow
from watchkeeper.wire.pages import Page

_DIGITS = 10


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
    filter_keys = ("agent", "state", "version", "for", "cost", "replay")

    async def fetch(self, after: str | None, limit: int, filter: str) -> Page[RunRow]:
        """Read a page of runs."""
        wanted = read_filter(filter, self.filter_keys)
        return await self.desk.client.runs(
            agent=wanted.get("agent"),
            version=_number(wanted.get("version")),
            state=wanted.get("state"),
            on_behalf_of=wanted.get("for"),
            cost_at_least=_cost(wanted.get("cost")),
            replay_of=wanted.get("replay"),
            filter=wanted.get("filter"),
            after=after,
            limit=limit,
        )

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

    def open(self, row: RunRow) -> bool:
        """Open its trace."""
        self.desk.show("trace", f"{row.run}:{row.run}")
        return True

    def actions(self) -> Sequence[Action]:
        """Look at it alone, ask what it rested on, compare two, stop it."""
        return (
            Action("runs.detail", "detail", self.show_detail, ("d",), "Look",
                   "The run and its decisions, instead of its trace.", self.key,
                   layers=("list",), footer=60, why_not=self._why_none),
            Action("runs.steps", "steps", self.show_steps, ("s",), "Look",
                   "Go through the run step by step, and decide it again under other rules.",
                   self.key, footer=55, why_not=self._why_none),
            Action("runs.compare", "compare", self.compare, ("c",), "Look",
                   "Put two marked runs side by side, step by step.", self.key, footer=61,
                   why_not=self._why_not_two),
            Action("runs.basis", "rested on", self.show_basis, ("b",), "Look",
                   "What the run's output rested on.", self.key, footer=62,
                   why_not=self._why_none),
            evidence_action(self),
            kill_action(self),
        )  # fmt: skip

    def show_detail(self) -> None:
        """Open the run itself."""
        if self.current is not None:
            self.desk.show(self.key, self.current.run, detail=True)

    def show_steps(self) -> None:
        """Go through the run step by step."""
        if self.current is not None:
            self.desk.show("replay", f"{self.current.run}:")

    async def compare(self) -> None:
        """Show two runs side by side, the earlier one first."""
        a, b = sorted(self.marked, key=lambda row: row.opened_at)
        found = await self.desk.client.compare(a.run, b.run)
        await self.desk.view("Two runs side by side", comparing.blocks(found))

    def show_basis(self) -> None:
        """Say what its output rested on."""
        if self.current is not None:
            asking.show(self.desk, "rested-on", key=self.current.run)

    def _why_none(self) -> str | None:
        return None if self.current is not None else "no run is chosen"

    def _why_not_two(self) -> str | None:
        marked = len(self.marked)
        return None if marked == 2 else f"mark two runs with space; {marked} marked now"


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < _DIGITS):
        raise Invalid(f"version: is a number, not {text!r:.20}")
    return int(text)


def _cost(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return micros_from_text(text)
    except Invalid:
        raise Invalid(
            f"cost: is at least so many dollars, e.g. cost:0.50, not {text!r:.20}"
        ) from None
