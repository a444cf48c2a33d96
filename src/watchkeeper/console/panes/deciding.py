"""Deciding requests: alone with what its risk takes, or many of one kind together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

from watchkeeper.client.votes import Body, needs_signature, sign_vote
from watchkeeper.console.desk import Desk
from watchkeeper.console.dialogs.deciding import (
    approve_question,
    changed_blocks,
    changes_question,
    needs_question,
    reject_question,
    together_question,
    why_not_together,
)
from watchkeeper.console.views.requests import why_not_decide
from watchkeeper.console.window import Window
from watchkeeper.console.words import id_text
from watchkeeper.core.errors import Conflict, WatchkeeperError
from watchkeeper.wire.digests import is_as_shown
from watchkeeper.wire.requests import RequestDetail, RequestRow, Verdict, Vote

SAID: dict[Verdict, str] = {
    "approve": "approved",
    "reject": "rejected",
    "changes": "changes asked for",
}


class Queue(Protocol):
    """The list that is decided from."""

    desk: Desk
    window: Window[RequestRow]
    detail: Any

    @property
    def key(self) -> str:
        """The name of the pane."""
        ...

    @property
    def current(self) -> RequestRow | None:
        """The row under the cursor."""
        ...

    @property
    def marked(self) -> list[RequestRow]:
        """The marked rows."""
        ...

    async def read_current(self) -> RequestDetail | None:
        """Return the request under the cursor as it is on screen."""
        ...

    def select_next(self, decided: str) -> None:
        """Put the cursor on the next request that waits."""
        ...

    def clear_marks(self, identities: Sequence[str] | None = None) -> None:
        """Take marks away."""
        ...

    async def reload(self) -> None:
        """Read the list again."""
        ...


class Deciding:
    """The votes that a person casts from the queue."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._shown: tuple[str, float] = ("", 0.0)
        self.last_approved: str | None = None
        """What was approved last from here; it may be taken back until it is used."""

    @property
    def _desk(self) -> Desk:
        return self._queue.desk

    def saw(self, request: str) -> None:
        """Note that a request is on screen; from when counts as reading."""
        if self._shown[0] != request:
            self._shown = (request, time.monotonic())

    def seen_since(self, request: str) -> float:
        """Return since when a request is on screen; from now on if it was not."""
        shown, since = self._shown
        return since if shown == request else time.monotonic()

    async def approve(self) -> None:
        """Approve what is chosen."""
        marked = self._queue.marked
        if marked:
            await self._decide_together(marked, "approve")
            return
        detail = await self._queue.read_current()
        if detail is None:
            return
        since = self.seen_since(detail.request)
        if not needs_question(detail):
            if self._queue.detail is detail:
                self._approve_soon(detail)
            elif not self._desk.beside:
                # nothing is sent that was not on screen before the key
                self._desk.show(self._queue.key, detail.request, detail=True)
                self._desk.say("read it, then press a again", seconds=3)
            return
        reply = await self._desk.ask(approve_question(detail))
        if reply.confirmed:
            await self.send(detail, "approve", reply.reason, seconds_from(since))

    async def reject(self) -> None:
        """Reject what is chosen, with a reason."""
        marked = self._queue.marked
        if marked:
            await self._decide_together(marked, "reject")
            return
        detail = await self._queue.read_current()
        if detail is None:
            return
        since = self.seen_since(detail.request)
        reply = await self._desk.ask(reject_question(detail))
        if reply.confirmed:
            await self.send(detail, "reject", reply.reason, seconds_from(since))

    async def ask_changes(self) -> None:
        """Refuse it and say what would be approved instead."""
        detail = await self._queue.read_current()
        if detail is None:
            return
        since = self.seen_since(detail.request)
        reply = await self._desk.ask(changes_question(detail))
        if reply.confirmed:
            await self.send(detail, "changes", reply.reason, seconds_from(since))

    async def send(
        self, detail: RequestDetail, verdict: Verdict, reason: str | None, viewed: float
    ) -> None:
        """Cast the vote on exactly what was on screen; say what came of it."""
        if verdict == "approve" and is_as_shown(detail) is False:
            self._desk.say("its digest is not of what is shown: nothing was sent", "critical")
            return
        vote = Vote(
            verdict=verdict,
            digest=detail.digest,
            reason=reason or None,
            view_seconds=viewed,
            acting_for=detail.acting_for,
            channel="console",
        )
        signed = await self.sign(detail, vote)
        if signed is None:
            return
        try:
            after = await self._desk.client.vote(detail.request, signed)
        except Conflict as error:
            await self._explain_conflict(detail, error)
            return
        if verdict == "approve":
            self.last_approved = detail.request
        more = max(0, after.quorum - after.approvals) if after.state == "pending" else 0
        rest = f", {more} more must agree" if more else ""
        token = "good" if verdict == "approve" else "text"
        self._desk.say(f"{SAID[verdict]}: {detail.asks}{rest}", token)  # type: ignore[arg-type]
        self._queue.select_next(detail.request)
        await self._queue.reload()

    def why_not_approve(self) -> str | None:
        """Say why nothing can be approved now."""
        return self._why_not("approve")

    def why_not_reject(self) -> str | None:
        """Say why nothing can be rejected now."""
        return self._why_not("reject")

    def why_not_one(self) -> str | None:
        """Say why the current request can't be decided now."""
        row = self._queue.current
        if row is not None and row.request in self._desk.unsent:
            return "it is sent in a moment: u takes it back, enter sends it now"
        return "no request is selected" if row is None else why_not_decide(row)

    def _approve_soon(self, detail: RequestDetail) -> None:
        """Send an approval of low risk when its undo window has passed."""
        viewed = seconds_from(self.seen_since(detail.request))

        async def send() -> None:
            await self.send(detail, "approve", None, viewed)

        self._queue.select_next(detail.request)
        self._desk.say("")
        wait = self._desk.configuration.undo_seconds
        self._desk.later(wait, detail.request, f"approves {detail.asks}", send)

    async def sign(self, detail: RequestDetail, body: Body) -> Body | None:
        """Have the person's SSH key sign what needs it; None, with why on screen, if it did not."""
        if not needs_signature(detail):
            return body
        try:
            return await sign_vote(self._desk.client, detail, body, told=self._tell)
        except WatchkeeperError as error:
            self._desk.say(f"not signed, nothing was sent: {error}", "warning", seconds=15)
            return None

    def _tell(self, text: str) -> None:
        self._desk.say(text, "accent", seconds=60)

    async def _explain_conflict(self, seen: RequestDetail, error: Conflict) -> None:
        """Say who was faster, or show what changed; nothing was sent."""
        now = await self._desk.client.request(seen.request)
        if now.digest != seen.digest:
            await self._desk.view("Changed meanwhile", changed_blocks(seen, now))
        else:
            self._desk.say(f"{error.message} — nothing was sent", "warning", seconds=12)
        await self._queue.reload()

    async def _decide_together(self, rows: Sequence[RequestRow], verdict: Verdict) -> None:
        why_not = why_not_together(rows, verdict)
        if why_not:
            self._desk.say(why_not, "warning")
            return
        question = together_question(rows, verdict, self._queue.window.hidden_marks)
        reply = await self._desk.ask(question)
        if not reply.confirmed:
            return
        done: list[str] = []
        failed: list[str] = []
        for row in rows:
            vote = Vote(
                verdict=verdict,
                digest=row.digest,
                reason=reply.reason or None,
                acting_for=row.acting_for,
                channel="console",
            )
            try:
                await self._desk.client.vote(row.request, vote)
            except WatchkeeperError as error:
                failed.append(f"{id_text(row.request)}: {error.message}")
            else:
                done.append(row.request)
        self._queue.clear_marks(done)
        said = SAID[verdict]
        if failed:
            text = f"{len(done)} {said}, {len(failed)} not and still marked; first: {failed[0]}"
            self._desk.say(text, "warning", seconds=15)
        else:
            self._desk.say(f"{len(done)} {said}", "good")
        await self._queue.reload()

    def _why_not(self, verdict: Verdict) -> str | None:
        marked = self._queue.marked
        return why_not_together(marked, verdict) if marked else self.why_not_one()


def seconds_from(since: float) -> float:
    """Return how many seconds have passed since a monotonic time."""
    return round(time.monotonic() - since, 1)
