"""Ledger: everything that happened, newest first, and whether it is whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from watchkeeper.console.actions import Action
from watchkeeper.console.blocks import Block
from watchkeeper.console.columns import Column
from watchkeeper.console.dialogs.killing import kill_action
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, span
from watchkeeper.console.pane import Pane
from watchkeeper.console.panes.trace import trace_action
from watchkeeper.console.views import events as view
from watchkeeper.console.words import plural
from watchkeeper.wire.pages import Page
from watchkeeper.wire.plane import EventRow


class LedgerPane(Pane[EventRow]):
    """The events; with the cursor on the newest it follows them."""

    key = "ledger"
    title = "Ledger"
    columns = (
        Column("at", "TIME", 8),
        Column("sequence", "ENTRY", 7, align="right", priority=3),
        Column("type", "TYPE", 18, priority=2),
        Column("text", "WHAT HAPPENED", 50, least=28, grow=3),
        Column("actor", "WHO", 20, least=14, grow=1, priority=1),
    )
    empty = "No entry matches. Filter by text or by type: agent: run: request:"

    _follows = True
    _unread = 0

    async def fetch(self, after: str | None, limit: int, filter: str) -> Page[EventRow]:
        """Read a page of entries, newest first."""
        wanted = view.read_filter(filter)
        before = int(after) if after else None
        return await self.desk.client.events(
            before=before,
            limit=limit,
            type=wanted.get("type"),
            agent=wanted.get("agent"),
            run=wanted.get("run"),
            request=wanted.get("request"),
            filter=wanted.get("filter"),
        )

    def row_id(self, row: EventRow) -> str:
        """The entry's number."""
        return str(row.sequence)

    def cells(self, row: EventRow, moment: Moment) -> Mapping[str, Span]:
        """One line."""
        return view.cells(row, moment)

    def blocks(self, row: EventRow, detail: Any, moment: Moment) -> Sequence[Block]:
        """Write the entry with its body and hash."""
        return view.blocks(row, moment)

    def on_events(self, events: Sequence[EventRow]) -> None:
        """Read on while the newest is looked at; else only count."""
        wanted = view.read_filter(self.window.filter)
        fresh = sum(view.matches(event, wanted) for event in events)
        if not fresh:
            return
        if self._at_newest():
            self.dirty = True
        else:
            self._unread += fresh

    async def reload(self, height: int = 0) -> None:
        """Read again; the cursor stays with the newest if it was there, a held list as it is."""
        newest = self._at_newest()
        if not newest and self.window.loaded:
            self.dirty = False
            return
        before = self.window.current_id
        await super().reload(height)
        if newest and self.window.current_id == before:  # nobody went elsewhere meanwhile
            self.window.move_to(0)
            self._unread = 0

    def caption(self) -> Sequence[Span]:
        """Whether it follows, and what it has not shown."""
        if self._at_newest():
            # the cursor came back to the top: what was only counted is read now
            self.dirty = self.dirty or self._unread > 0
            return (span("● follows the newest entry", "good"), span("  f to hold", "quiet"))
        unread = f", {plural(self._unread, 'new entry', 'new entries')}" if self._unread else ""
        return (span(f"‖ held{unread}", "warning"), span("  f to follow again", "quiet"))

    def actions(self) -> Sequence[Action]:
        """Follow, and check the chain."""
        return (
            Action(
                id="ledger.follow",
                title="follow",
                keys=("f",),
                group="Look",
                run=self.toggle_follow,
                pane=self.key,
                layers=("list",),
                footer=10,
                explain="Follow the newest entry, or hold the list still.",
            ),
            Action(
                id="ledger.verify",
                title="verify",
                keys=("c",),
                group="Look",
                run=self.verify,
                pane=self.key,
                footer=11,
                explain="Check the whole hash chain for changed, missing or reordered entries.",
            ),
            trace_action(self),
            kill_action(self),
        )

    async def toggle_follow(self) -> None:
        """Follow or hold."""
        if self._at_newest():
            self._follows = False
            return
        self._follows = True
        self.window.move_to(0)
        await self.reload()

    async def verify(self) -> None:
        """Have the plane check its chain, and show what it found."""
        self.desk.say("the plane reads its whole ledger …", seconds=60)
        found = await self.desk.client.verification()
        self.desk.say("")
        await self.desk.view("Is the ledger whole?", view.verification_blocks(found))

    def _at_newest(self) -> bool:
        return self._follows and self.window.cursor == 0
