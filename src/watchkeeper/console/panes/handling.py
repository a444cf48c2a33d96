"""What else a person does with a request: see to it, talk of it, narrow it, answer for it."""

from __future__ import annotations

from watchkeeper.client.votes import needs_signature
from watchkeeper.console.desk import Desk
from watchkeeper.console.dialogs.handling import (
    break_glass_question,
    comment_question,
    escalate_question,
    judge_question,
    narrow_question,
    narrowed,
    proposal_of,
    review_question,
    standing_question,
    take_back_question,
    why_not_escalate,
    why_not_narrow,
)
from watchkeeper.console.panes.deciding import Deciding, Queue, seconds_from
from watchkeeper.console.views.requests import why_not_decide
from watchkeeper.console.views.standing import standing_blocks
from watchkeeper.console.words import person_text, time_text
from watchkeeper.core.errors import Conflict
from watchkeeper.wire.requests import (
    Acknowledge,
    BreakGlass,
    Comment,
    Edit,
    Escalate,
    Judge,
    RequestDetail,
    RequestRow,
    Review,
    TakeBack,
)


class Handling:
    """The keys beside approve and reject."""

    def __init__(self, queue: Queue, deciding: Deciding) -> None:
        self._queue = queue
        self._deciding = deciding

    @property
    def _desk(self) -> Desk:
        return self._queue.desk

    async def escalate(self) -> None:
        """Ask the next level now."""
        detail = await self._queue.read_current()
        if detail is None:
            return
        reply = await self._desk.ask(escalate_question(detail))
        if not reply.confirmed:
            return
        asked = Escalate(level=detail.level, round=detail.round, reason=reply.reason)
        after = await self._desk.client.escalate(detail.request, asked)
        self._desk.say(f"{after.role} is asked now (level {after.level})", "good")
        await self._queue.reload()

    async def acknowledge(self) -> None:
        """Say "I am on it": nobody else is called for a while."""
        row = self._queue.current
        if row is None:
            return
        after = await self._desk.client.acknowledge(row.request, Acknowledge())
        until = after.acknowledged_until
        when = f" until {time_text(until)}" if until else ""
        self._desk.say(f"you are on it{when}: nobody else is called", "good")
        await self._queue.reload()

    async def comment(self) -> None:
        """Say something to everybody who decides it."""
        detail = await self._queue.read_current()
        if detail is None:
            return
        reply = await self._desk.ask(comment_question(detail))
        if reply.confirmed and reply.reason:
            await self._desk.client.comment(detail.request, Comment(text=reply.reason))
            self._desk.say("said", "good")
            await self._queue.reload()

    async def narrow(self) -> None:
        """Approve less than was asked."""
        detail = await self._queue.read_current()
        why_not = None if detail is None else why_not_narrow(detail)
        if detail is None or why_not:
            if why_not:
                self._desk.say(why_not, "warning")
            return
        since = self._deciding.seen_since(detail.request)
        reply = await self._desk.ask(narrow_question(detail))
        if not reply.confirmed:
            return
        arguments = narrowed(detail, reply)
        if arguments == detail.arguments:
            self._desk.say("nothing was changed: approve it as it is, or leave it", "warning")
            return
        edit = Edit(
            digest=detail.digest,
            arguments=arguments,
            reason=reply.reason,
            view_seconds=seconds_from(since),
        )
        after = await self._desk.client.edit_request(detail.request, edit)
        self._queue.select_next(detail.request)
        if after.state == "pending" and after.mine and needs_signature(after):
            # what stands now has a digest of its own, and takes a signature of its own
            await self._deciding.send(after, "approve", reply.reason, seconds_from(since))
            return
        state = "approved" if after.state == "approved" else "waits for the others"
        self._desk.say(f"{after.asks}: {state}", "good")
        await self._queue.reload()

    async def break_glass(self) -> None:
        """Approve alone in an emergency, to be reviewed."""
        detail = await self._queue.read_current()
        if detail is None:
            return
        reply = await self._desk.ask(break_glass_question(detail))
        if not reply.confirmed or not reply.reason:
            return
        alone = BreakGlass(digest=detail.digest, reason=reply.reason)
        signed = await self._deciding.sign(detail, alone)
        if signed is None:
            return
        await self._desk.client.break_glass(detail.request, signed)
        self._deciding.last_approved = detail.request
        self._desk.say(f"approved alone, to be reviewed: {detail.asks}", "warning", seconds=12)
        self._queue.select_next(detail.request)
        await self._queue.reload()

    async def review(self) -> None:
        """Say whether an approval that one person gave alone was justified."""
        detail = await self._queue.read_current()
        if detail is None:
            return
        reply = await self._desk.ask(review_question(detail))
        if not reply.confirmed or not reply.reason:
            return
        verdict = reply.values["verdict"]
        review = Review(verdict=verdict, note=reply.reason)
        await self._desk.client.review(detail.request, review)
        self._desk.say(f"reviewed: {verdict}", "good")
        await self._queue.reload()

    async def judge(self) -> None:
        """Say whether a decision was right, as is known now."""
        detail = await self._queue.read_current()
        if detail is None:
            return
        reply = await self._desk.ask(judge_question(detail))
        if not reply.confirmed:
            return
        judge = Judge(verdict=reply.values["verdict"], note=reply.reason)
        await self._desk.client.judge(detail.request, judge)
        self._desk.say("kept", "good")
        await self._queue.reload()

    async def take_back(self) -> None:
        """Take back an approval that was not used yet: this one, or the last one given."""
        request = self._to_take_back()
        if request is None:
            return
        detail = await self._desk.client.request(request)
        reply = await self._desk.ask(take_back_question(detail))
        if not reply.confirmed:
            return
        try:
            await self._desk.client.take_back(request, TakeBack(reason=reply.reason))
        except Conflict as error:
            self._desk.say(f"too late: {error.message}", "warning", seconds=12)
        else:
            self._desk.say(f"taken back: {detail.asks}", "good")
            self._deciding.last_approved = None
        await self._queue.reload()

    async def propose(self) -> None:
        """Propose that calls like this one need nobody for a while, within bounds."""
        detail = await self._queue.read_current()
        if detail is None:
            return
        reply = await self._desk.ask(standing_question(detail))
        if not reply.confirmed:
            return
        row = await self._desk.client.propose_standing(proposal_of(detail, reply))
        self._desk.say(f"proposed: {row.request} waits for the others", "good", seconds=10)
        await self._queue.reload()

    def show_run(self) -> None:
        """Go to the run that asks, with everything it did."""
        row = self._queue.current
        if row is not None:
            self._desk.show("runs", row.run, detail=True)

    def why_not_run(self) -> str | None:
        """Say why there is no run to go to."""
        row = self._queue.current
        if row is None:
            return "no request is selected"
        return None if row.kind == "action" else "a person proposed it: there is no run"

    async def show_standing(self) -> None:
        """Show what was agreed to beforehand, and what is left of it."""
        page = await self._desk.client.standing_approvals()
        moment = self._desk.moment()
        await self._desk.view("Standing approvals", standing_blocks(page.rows, moment))

    def why_not_escalate(self) -> str | None:
        """Say why the next level can't be asked."""
        row = self._queue.current
        return "no request is selected" if row is None else why_not_escalate(row)

    def why_not_acknowledge(self) -> str | None:
        """Say why the caller can't be on it."""
        row = self._queue.current
        if row is None:
            return "no request is selected"
        if row.acknowledged_by:
            return f"{person_text(row.acknowledged_by)} is on it already"
        return why_not_decide(row)

    def why_not_pending(self) -> str | None:
        """Say why nothing can be done that only an open request allows."""
        row = self._queue.current
        if row is None:
            return "no request is selected"
        return None if row.state == "pending" else "it is decided already"

    def why_not_review(self) -> str | None:
        """Say why there is nothing to review."""
        row = self._queue.current
        if row is None:
            return "no request is selected"
        if not row.break_glass:
            return "only what one person approved alone is reviewed"
        return "it is reviewed already" if row.reviewed_by else None

    def why_not_judge(self) -> str | None:
        """Say why it can't be judged."""
        row = self._queue.current
        if row is None:
            return "no request is selected"
        return "it is not decided yet" if row.state == "pending" else None

    def why_not_take_back(self) -> str | None:
        """Say why there is nothing to take back."""
        if self._to_take_back() is None:
            return "only an approval that was not used yet can be taken back"
        return None

    def _to_take_back(self) -> str | None:
        row: RequestRow | RequestDetail | None = self._queue.current
        if row is not None and row.state == "approved":
            return row.request
        return self._deciding.last_approved
