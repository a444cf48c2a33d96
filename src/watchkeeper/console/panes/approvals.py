"""Approvals: the queue with its clocks, and what was decided."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from watchkeeper.console.actions import Action
from watchkeeper.console.blocks import Block
from watchkeeper.console.columns import Column
from watchkeeper.console.desk import Desk
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, span
from watchkeeper.console.pane import Pane
from watchkeeper.console.panes.deciding import Deciding
from watchkeeper.console.panes.handling import Handling
from watchkeeper.console.panes.request_actions import request_actions
from watchkeeper.console.views import quality, request_detail
from watchkeeper.console.views import requests as view
from watchkeeper.core.errors import NotFound
from watchkeeper.wire.pages import Page
from watchkeeper.wire.requests import RequestDetail, RequestRow

State = Literal["pending", "decided", "review"]

GROUPS = ("none", "tool", "agent", "object")
WAITING = (
    Column("left", "LEFT", 7),
    Column("risk", "RISK", 10),
    Column("asks", "ASKS", 22, grow=12),
    Column("object", "OBJECT", 22, least=20, grow=1, priority=2, where="middle"),
    Column("role", "ROLE", 13, least=11, priority=4),
    Column("state", "STATE", 8, priority=3),
)
DECIDED = (
    Column("when", "AGE", 5),
    Column("state", "STATE", 12, grow=3),
    Column("risk", "RISK", 10, priority=4),
    Column("asks", "ASKS", 22, grow=12),
    Column("object", "OBJECT", 22, least=20, grow=1, priority=2, where="middle"),
    Column("by", "BY", 10, least=8, priority=3),
)
SENDING = span("✓ sending", "good")
"""What waits out its time to be taken back."""
TITLES: dict[State, str] = {"pending": "Approvals", "decided": "Decided", "review": "To review"}
EMPTY: dict[State, str] = {
    "pending": "No approvals wait. Decided ones: press d.",
    "decided": "Nothing was decided yet. What waits: press d.",
    "review": "Nobody approved anything alone. What waits: press d.",
}


class ApprovalsPane(Pane[RequestRow]):
    """The requests that wait, soonest first; `d` shows what is decided, then what is to review."""

    key = "approvals"
    title = TITLES["pending"]
    columns = WAITING
    empty = EMPTY["pending"]
    watched = ("request.", "vote.", "grant.", "outcome.")

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.deciding = Deciding(self)
        self.handling = Handling(self, self.deciding)
        self.state: State = "pending"
        self.together = GROUPS[0]
        """What the waiting requests stand together by."""

    async def fetch(self, after: str | None, limit: int, filter: str) -> Page[RequestRow]:
        """Read a page of the queue, of what was decided, or of what is to review."""
        return await self.desk.client.requests(
            state=self.state,
            together=self.together if self.state == "pending" else None,
            after=after,
            limit=limit,
            filter=filter or None,
        )

    def row_id(self, row: RequestRow) -> str:
        """The request's id."""
        return row.request

    def cells(self, row: RequestRow, moment: Moment) -> Mapping[str, Span]:
        """One line."""
        cells = view.cells(row, moment)
        return {**cells, "state": SENDING} if row.request in self.desk.unsent else cells

    def subject(self, row: RequestRow) -> str:
        """What is copied."""
        return row.request

    async def fetch_detail(self, row: RequestRow) -> RequestDetail:
        """Read the request; the plane notes that it was seen."""
        return await self.desk.client.request(row.request)

    def blocks(self, row: RequestRow, detail: Any, moment: Moment) -> Sequence[Block]:
        """Write it; the time it is on screen counts as reading."""
        if not isinstance(detail, RequestDetail):
            return request_detail.brief_blocks(row, moment)
        self.deciding.saw(detail.request)
        return request_detail.detail_blocks(detail, moment)

    def badge(self) -> str:
        """How many the caller may decide."""
        status = self.desk.status
        return str(status.waiting) if status is not None and status.waiting else ""

    def caption(self) -> Sequence[Span]:
        """Say what they stand together by, where they do."""
        if self.together == GROUPS[0] or self.state != "pending":
            return ()
        return (span(f" together by {self.together}, soonest first within", "quiet"),)

    def actions(self) -> Sequence[Action]:
        """Decide, alone or together; look at others; stop."""
        return request_actions(self)

    async def turn_to(self, identity: str) -> bool:
        """Show what is to review, what waits or what was decided: wherever a request is."""
        try:
            row = await self.desk.client.request(identity)
        except NotFound:
            return False
        wanted: State = "pending" if row.state == "pending" else "decided"
        if row.break_glass and row.reviewed_by is None:
            wanted = "review"
        if wanted == self.state and not self.window.filter:
            return False
        self.window.narrow("")
        await self._turn_to(wanted)
        return True

    async def toggle_decided(self) -> None:
        """Go on from what waits to what was decided, to what is to review, and back."""
        states: tuple[State, ...] = ("pending", "decided", "review")
        await self._turn_to(states[(states.index(self.state) + 1) % len(states)])

    async def toggle_together(self) -> None:
        """Have what shares a tool, an agent or an object stand together."""
        self.together = GROUPS[(GROUPS.index(self.together) + 1) % len(GROUPS)]
        self.window.forget()
        await self.reload()

    def mark_alike(self) -> None:
        """Mark what asks the same as the current one, among what is read."""
        row = self.current
        if row is None:
            return
        alike = [one for one in self.rows if one.alike == row.alike and one.state == "pending"]
        for one in alike:
            self.window.marks.add(one.request)
        self.desk.say(f"{len(alike)} alike are marked")

    async def show_quality(self) -> None:
        """Show how approving goes."""
        read = (self.desk.client.quality(by=by) for by in ("role", "tool", "person"))
        found = await asyncio.gather(*read)
        await self.desk.view("How approving goes", quality.quality_blocks(found))

    async def show_hints(self) -> None:
        """Show what would spare work."""
        page = await self.desk.client.hints()
        await self.desk.view("What would spare work", quality.hint_blocks(page.rows))

    async def read_current(self) -> RequestDetail | None:
        """Return the request as it is on screen, or read it for the dialog that shows it."""
        row = self.current
        if row is None:
            return None
        shown = self.detail
        if isinstance(shown, RequestDetail) and shown.request == row.request:
            return shown
        return await self.fetch_detail(row)

    def select_next(self, decided: str) -> None:
        """Put the cursor on the next request that waits."""
        rows = list(self.rows)
        place = next((n for n, row in enumerate(rows) if row.request == decided), None)
        if place is None:
            return
        following = rows[place + 1 :] + rows[:place][::-1]
        for row in following:
            if row.state == "pending" and row.request not in self.desk.unsent:
                self.select(row.request)
                return

    async def _turn_to(self, state: State) -> None:
        self.state = state
        self.title, self.empty = TITLES[state], EMPTY[state]
        self.columns = WAITING if state == "pending" else DECIDED
        self.clear_marks()
        self.window.forget()
        await self.reload()
