"""Approvals: the queue with its clocks, and the decisions."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from watchkeeper.console.actions import Action
from watchkeeper.console.blocks import Block
from watchkeeper.console.columns import Column
from watchkeeper.console.dialogs.deciding import (
    approve_question,
    changed_blocks,
    escalate_question,
    needs_question,
    reject_question,
    together_question,
    why_not_escalate,
    why_not_together,
)
from watchkeeper.console.dialogs.killing import kill_action
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span
from watchkeeper.console.pane import Pane
from watchkeeper.console.views import requests as view
from watchkeeper.console.words import id_text
from watchkeeper.core.errors import Conflict, WatchkeeperError
from watchkeeper.wire.pages import Page
from watchkeeper.wire.requests import Escalate, RequestDetail, RequestRow, Vote

Verdict = Literal["approve", "reject"]

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


class ApprovalsPane(Pane[RequestRow]):
    """The requests that wait, soonest first; `d` shows those that are decided."""

    key = "approvals"
    title = "Approvals"
    columns = WAITING
    empty = "No approvals wait. Decided ones: press d."
    watched = ("request.", "vote.", "grant.", "outcome.")

    _decided = False
    _shown: tuple[str, float] = ("", 0.0)

    async def fetch(self, after: str | None, limit: int, filter: str) -> Page[RequestRow]:
        """Read a page of the queue, or of what was decided."""
        return await self.desk.client.requests(
            state="decided" if self._decided else "pending",
            after=after,
            limit=limit,
            filter=filter or None,
        )

    def row_id(self, row: RequestRow) -> str:
        """The request's id."""
        return row.request

    def cells(self, row: RequestRow, moment: Moment) -> Mapping[str, Span]:
        """One line."""
        return view.cells(row, moment)

    def subject(self, row: RequestRow) -> str:
        """What is copied."""
        return row.request

    async def fetch_detail(self, row: RequestRow) -> RequestDetail:
        """Read the request; the plane notes that it was seen."""
        return await self.desk.client.request(row.request)

    def blocks(self, row: RequestRow, detail: Any, moment: Moment) -> Sequence[Block]:
        """Write it; the time it is on screen counts as reading."""
        if not isinstance(detail, RequestDetail):
            return view.brief_blocks(row, moment)
        if self._shown[0] != detail.request:
            self._shown = (detail.request, time.monotonic())
        return view.detail_blocks(detail, moment)

    def badge(self) -> str:
        """How many the caller may decide."""
        status = self.desk.status
        return str(status.waiting) if status is not None and status.waiting else ""

    def actions(self) -> Sequence[Action]:
        """Decide, alone or together."""
        return (
            Action(
                id="approvals.approve",
                title="approve",
                keys=("a",),
                group="Decide",
                run=self.approve,
                changes=True,
                danger=True,
                needs="decide",
                why_not=self._why_not_approve,
                pane=self.key,
                footer=10,
                explain="Approve this request, or the marked ones where all are of low risk.",
            ),
            Action(
                id="approvals.reject",
                title="reject",
                keys=("x",),
                group="Decide",
                run=self.reject,
                changes=True,
                danger=True,
                needs="decide",
                why_not=self._why_not_reject,
                pane=self.key,
                footer=11,
                explain="Reject this request, or the marked ones, with a reason.",
            ),
            Action(
                id="approvals.escalate",
                title="escalate",
                keys=("e",),
                group="Decide",
                run=self.escalate,
                changes=True,
                needs="decide",
                why_not=self._why_not_escalate,
                pane=self.key,
                footer=12,
                explain="Ask the next level now instead of when its time comes.",
            ),
            Action(
                id="approvals.decided",
                title="decided",
                keys=("d",),
                group="Look",
                run=self.toggle_decided,
                pane=self.key,
                layers=("list",),
                footer=30,
                explain="Show what was decided, or go back to what waits.",
            ),
            kill_action(self),
        )

    async def toggle_decided(self) -> None:
        """Swap the queue with what was decided."""
        self._decided = not self._decided
        self.title = "Decided" if self._decided else "Approvals"
        self.columns = DECIDED if self._decided else WAITING
        self.empty = (
            "Nothing was decided yet. What waits: press d."
            if self._decided
            else "No approvals wait. Decided ones: press d."
        )
        self.clear_marks()
        self.window.forget()
        await self.reload()

    async def approve(self) -> None:
        """Approve what is chosen."""
        marked = self.marked
        if marked:
            await self._decide_together(marked, "approve")
            return
        detail = await self._read_current()
        if detail is None:
            return
        if not needs_question(detail.risk):
            if self.detail is detail:
                self._approve_soon(detail)
            else:
                # nothing is sent that was not on screen before the key
                self.desk.show(self.key, detail.request, detail=True)
                self.desk.say("read it, then press a again", seconds=3)
            return
        since = self._seen_since(detail.request)
        reply = await self.desk.ask(approve_question(detail))
        if reply.confirmed:
            await self._send(detail, "approve", reply.reason, _seconds_from(since))

    async def reject(self) -> None:
        """Reject what is chosen, with a reason."""
        marked = self.marked
        if marked:
            await self._decide_together(marked, "reject")
            return
        detail = await self._read_current()
        if detail is None:
            return
        since = self._seen_since(detail.request)
        reply = await self.desk.ask(reject_question(detail))
        if reply.confirmed:
            await self._send(detail, "reject", reply.reason, _seconds_from(since))

    async def escalate(self) -> None:
        """Ask the next level now."""
        detail = await self._read_current()
        if detail is None:
            return
        reply = await self.desk.ask(escalate_question(detail))
        if not reply.confirmed:
            return
        asked = Escalate(level=detail.level, reason=reply.reason)
        after = await self.desk.client.escalate(detail.request, asked)
        self.desk.say(f"{after.role} is asked now (level {after.level})", "good")
        await self.reload()

    async def _read_current(self) -> RequestDetail | None:
        """Return the request as it is on screen, or read it for the dialog that shows it."""
        row = self.current
        if row is None:
            return None
        shown = self.detail
        if isinstance(shown, RequestDetail) and shown.request == row.request:
            return shown
        return await self.fetch_detail(row)

    def _approve_soon(self, detail: RequestDetail) -> None:
        """Send an approval of low risk when its undo window has passed."""
        viewed = _seconds_from(self._seen_since(detail.request))

        async def send() -> None:
            await self._send(detail, "approve", None, viewed)

        self._select_next(detail.request)
        self.desk.say("")
        wait = self.desk.configuration.undo_seconds
        self.desk.later(wait, detail.request, f"approves {detail.asks}", send)

    async def _send(
        self, detail: RequestDetail, verdict: Verdict, reason: str | None, viewed: float
    ) -> None:
        vote = Vote(
            verdict=verdict, digest=detail.digest, reason=reason or None, view_seconds=viewed
        )
        try:
            after = await self.desk.client.vote(detail.request, vote)
        except Conflict as error:
            await self._explain_conflict(detail, error)
            return
        said = "approved" if verdict == "approve" else "rejected"
        more = max(0, after.quorum - after.approvals) if after.state == "pending" else 0
        rest = f", {more} more must agree" if more else ""
        self.desk.say(f"{said}: {detail.asks}{rest}", "good" if verdict == "approve" else "text")
        self._select_next(detail.request)
        await self.reload()

    async def _explain_conflict(self, seen: RequestDetail, error: Conflict) -> None:
        """Say who was faster, or show what changed; nothing was sent."""
        now = await self.desk.client.request(seen.request)
        if now.digest != seen.digest:
            await self.desk.view("Changed meanwhile", changed_blocks(seen, now))
        else:
            self.desk.say(f"{error.message} — nothing was sent", "warning", seconds=12)
        await self.reload()

    async def _decide_together(self, rows: Sequence[RequestRow], verdict: Verdict) -> None:
        why_not = why_not_together(rows, verdict)
        if why_not:
            self.desk.say(why_not, "warning")
            return
        reply = await self.desk.ask(together_question(rows, verdict, self.window.hidden_marks))
        if not reply.confirmed:
            return
        done: list[str] = []
        failed: list[str] = []
        for row in rows:
            vote = Vote(verdict=verdict, digest=row.digest, reason=reply.reason or None)
            try:
                await self.desk.client.vote(row.request, vote)
            except WatchkeeperError as error:
                failed.append(f"{id_text(row.request)}: {error.message}")
            else:
                done.append(row.request)
        self.clear_marks(done)
        said = "approved" if verdict == "approve" else "rejected"
        if failed:
            text = f"{len(done)} {said}, {len(failed)} not and still marked; first: {failed[0]}"
            self.desk.say(text, "warning", seconds=15)
        else:
            self.desk.say(f"{len(done)} {said}", "good")
        await self.reload()

    def _seen_since(self, request: str) -> float:
        """Return since when a request is on screen; from now on if it was not."""
        shown, since = self._shown
        return since if shown == request else time.monotonic()

    def _select_next(self, decided: str) -> None:
        """Put the cursor on the next request that waits."""
        rows = list(self.rows)
        place = next((n for n, row in enumerate(rows) if row.request == decided), None)
        if place is None:
            return
        following = rows[place + 1 :] + rows[:place][::-1]
        for row in following:
            if row.state == "pending":
                self.select(row.request)
                return

    def _why_not_approve(self) -> str | None:
        return self._why_not("approve")

    def _why_not_reject(self) -> str | None:
        return self._why_not("reject")

    def _why_not(self, verdict: Verdict) -> str | None:
        marked = self.marked
        if marked:
            return why_not_together(marked, verdict)
        if self.current is None:
            return "no request is selected"
        return view.why_not_decide(self.current)

    def _why_not_escalate(self) -> str | None:
        return "no request is selected" if self.current is None else why_not_escalate(self.current)


def _seconds_from(since: float) -> float:
    return round(time.monotonic() - since, 1)
