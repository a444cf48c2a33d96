"""Ledger: everything that happened, newest first, and whether it is whole."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from watchkeeper.console.actions import Action
from watchkeeper.console.blocks import Block
from watchkeeper.console.columns import Column
from watchkeeper.console.dialogs.exporting import evidence_action
from watchkeeper.console.dialogs.killing import kill_action
from watchkeeper.console.filters import read_filter
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, span
from watchkeeper.console.pane import Pane
from watchkeeper.console.panes.trace import trace_action
from watchkeeper.console.views import events as view
from watchkeeper.console.views import proofs
from watchkeeper.console.watched import with_progress
from watchkeeper.console.words import plural
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Forbidden
from watchkeeper.wire.pages import Page
from watchkeeper.wire.plane import EventRow

SIGNED_SECONDS, ANCHORED_SECONDS = 10, 60
"""How often checkpoints are made while entries come, and how often most anchors get one."""
CHECKPOINTS_READ = 200


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
    empty = "The ledger has no entries yet."
    filter_keys = ("type", "agent", "run", "request")

    _follows = True
    _unread = 0

    _standing: proofs.Standing | None = None
    _standing_at = 0
    _may_prove = True

    async def fetch(self, after: str | None, limit: int, filter: str) -> Page[EventRow]:
        """Read a page of entries, newest first."""
        if after is None and self._standing_due():
            try:
                await self._read_standing()
            except Forbidden:
                self._may_prove = False  # who audits some teams: it is of all of them
        wanted = read_filter(filter, self.filter_keys)
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
        wanted = read_filter(self.window.filter, self.filter_keys)
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
        """Whether it follows, what it has not shown, and how well it is proven."""
        if self._standing_due():
            self.dirty = True
        proven = proofs.line(self._standing) if self._standing is not None else ()
        if self._at_newest():
            # the cursor came back to the top: what was only counted is read now
            self.dirty = self.dirty or self._unread > 0
            return (span("● follows", "good"), span("  f holds", "quiet"), *proven)
        unread = f", {plural(self._unread, 'new entry', 'new entries')}" if self._unread else ""
        return (span(f"‖ held{unread}", "warning"), span("  f follows", "quiet"), *proven)

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
                needs="audit",
                explain="Check every entry, the log, its checkpoints and anchors; name the first "
                "bad entry.",
            ),
            Action(
                id="ledger.proofs",
                title="proofs",
                keys=("i",),
                group="Look",
                run=self.show_proofs,
                pane=self.key,
                footer=83,
                needs="audit",
                explain="What is signed and anchored, by which key, and whether it was forked.",
            ),
            evidence_action(self),
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
        """Have the plane check its ledger, and show what it found."""
        client = self.desk.client
        found = await with_progress(
            self.desk,
            "Is the ledger whole?",
            "The plane reads its whole ledger",
            client.verification(),
            client.verification_progress,
            "q stops waiting here; c waits for the same answer again.",
        )
        if found is not None:
            await self.desk.view("Is the ledger whole?", view.verification_blocks(found))

    async def show_proofs(self) -> None:
        """Show what is signed and anchored."""
        found = await self._read_standing()
        await self.desk.view("What proves the ledger", [*proofs.blocks(found, self.desk.moment())])

    def _standing_due(self) -> bool:
        """Whether to read what is signed and anchored: soon after it changed, else rarely."""
        status, found = self.desk.status, self._standing
        if status is None or not self._may_prove or "audit" not in status.me.permissions:
            return False
        if found is None:
            return True
        seconds = SIGNED_SECONDS if found.unsigned else ANCHORED_SECONDS
        return self.desk.moment().now - self._standing_at >= seconds * MICROSECONDS

    async def _read_standing(self) -> proofs.Standing:
        """Read what is signed and anchored."""
        self._standing_at = self.desk.moment().now
        client = self.desk.client
        page, keys = await asyncio.gather(
            client.checkpoints(limit=CHECKPOINTS_READ), client.log_keys()
        )
        self._standing = proofs.Standing(
            entries=page.sequence,
            last=page.rows[0] if page.rows else None,
            anchored=next((row for row in page.rows if row.anchored), None),
            looked_at=len(page.rows),
            checkpoints=page.total or len(page.rows),
            keys=keys.rows,
        )
        return self._standing

    def _at_newest(self) -> bool:
        return self._follows and self.window.cursor == 0
