"""Incidents: what was stopped, and what is known of it since."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from watchkeeper.console.actions import Action
from watchkeeper.console.blocks import Block
from watchkeeper.console.columns import Column
from watchkeeper.console.desk import Desk
from watchkeeper.console.dialogs import incidents as dialogs
from watchkeeper.console.dialogs.exporting import evidence_action
from watchkeeper.console.dialogs.killing import kill_action
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span
from watchkeeper.console.pane import Pane
from watchkeeper.console.views import incidents as view
from watchkeeper.wire.incidents import IncidentRow
from watchkeeper.wire.pages import Page
from watchkeeper.wire.permissions import Permission


class IncidentsPane(Pane[IncidentRow]):
    """Every incident, newest first, with its locks, receipts, notes and timeline."""

    key = "incidents"
    title = "Incidents"
    columns = (
        Column("since", "SINCE", 5),
        Column("state", "STATE", 8),
        Column("severity", "SEVERITY", 8, priority=2),
        Column("title", "WHAT HAPPENED", 32, least=24, grow=3),
        Column("locks", "LOCKS", 11, priority=1),
        Column("unknown", "UNKNOWN", 7, align="right", priority=3),
        Column("owner", "OWNER", 12, priority=4),
    )
    empty = "No incidents. A kill opens one, with its timeline, and keeps what it is about."
    watched = ("incident.", "lock.", "receipt.", "outcome.")

    async def fetch(self, after: str | None, limit: int, filter: str) -> Page[IncidentRow]:
        """Read a page of incidents; the filter works here."""
        page = await self.desk.client.incidents(state="all", after=after, limit=limit)
        if not filter:
            return page
        wanted = filter.lower()
        rows = tuple(row for row in page.rows if wanted in f"{row.title} {row.owner}".lower())
        return page.model_copy(update={"rows": rows, "total": len(rows)})

    def row_id(self, row: IncidentRow) -> str:
        """The incident's id."""
        return row.incident

    def cells(self, row: IncidentRow, moment: Moment) -> Mapping[str, Span]:
        """One line."""
        return view.cells(row, moment)

    async def fetch_detail(self, row: IncidentRow) -> view.IncidentFile:
        """Read the incident and its timeline from where it began."""
        client = self.desk.client
        detail, timeline = await asyncio.gather(
            client.incident(row.incident),
            client.incident_timeline(row.incident, after=row.sequence - 1, limit=100),
        )
        return view.IncidentFile(detail, timeline.rows)

    def blocks(self, row: IncidentRow, detail: Any, moment: Moment) -> Sequence[Block]:
        """Write it."""
        if isinstance(detail, view.IncidentFile):
            return view.file_blocks(detail, moment)
        return view.blocks(row, moment)

    def caption(self) -> Sequence[Span]:
        """How many are open."""
        return view.summary(self.rows) if self.window.complete and len(self.window) else ()

    def badge(self) -> str:
        """How many are open."""
        count = sum(row.state == "open" for row in self.rows)
        return str(count) if count else ""

    def actions(self) -> Sequence[Action]:
        """Note, close or open again, read the report."""
        return (
            self._action("note", "n", dialogs.note, "lock", "Note something, under your name."),
            self._action(
                "close", "c", dialogs.close_or_reopen, "lift",
                "Close the incident, or open a closed one again.",
            ),
            self._action(
                "report", "R", dialogs.report, "read",
                "Make the report: what happened, when, who, what was stopped.",
            ),
            evidence_action(self),
            kill_action(self),
        )  # fmt: skip

    def _action(
        self,
        name: str,
        key: str,
        work: Callable[[Desk, IncidentRow], Awaitable[None]],
        needs: Permission,
        explain: str,
    ) -> Action:
        async def run() -> None:
            if self.current is not None:
                await work(self.desk, self.current)

        return Action(
            id=f"incidents.{name}",
            title=name,
            keys=(key,),
            group="Incident",
            run=run,
            changes=needs != "read",
            needs=needs,
            why_not=lambda: None if self.current is not None else "no incident is chosen",
            pane=self.key,
            footer=60,
            explain=explain,
        )
