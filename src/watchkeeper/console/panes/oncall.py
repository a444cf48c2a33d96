"""On call: who holds each role now and next, overrides, gaps, and the hand-over of the watch."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from watchkeeper.console.actions import Action
from watchkeeper.console.blocks import Block
from watchkeeper.console.columns import Column
from watchkeeper.console.dialogs.killing import kill_action
from watchkeeper.console.dialogs.watch import (
    acknowledge_question,
    end_question,
    give_question,
    override_from,
    override_question,
)
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span
from watchkeeper.console.pane import Pane
from watchkeeper.console.views import oncall as view
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Invalid
from watchkeeper.wire.handover import AcknowledgeHandover, GiveHandover
from watchkeeper.wire.oncall import EndOverride, OverrideRow
from watchkeeper.wire.pages import Page

_DAY = 86_400 * MICROSECONDS


class OnCallPane(Pane[view.Watch]):
    """Roles and schedules: what nobody covers first."""

    key = "oncall"
    title = "On call"
    columns = (
        Column("role", "ROLE", 18, least=14, grow=1),
        Column("now", "NOW", 18, least=12, grow=2),
        Column("until", "UNTIL", 16, least=12, priority=2),
        Column("next", "NEXT", 14, least=10, grow=1, priority=1),
        Column("note", "", 20, least=14, priority=3),
    )
    empty = "Nobody is on call. Apply `role` and `schedule` documents: :guide oncall."
    watched = ("oncall.", "handover.", "role.", "schedule.")

    async def fetch(self, after: str | None, limit: int, filter: str) -> Page[view.Watch]:
        """Read who is on call; the filter works here."""
        oncall, handovers = await asyncio.gather(
            self.desk.client.oncall(), self.desk.client.handovers(state="given", limit=50)
        )
        wanted = filter.lower()
        rows = tuple(
            row
            for row in view.watches(oncall.roles, oncall.schedules, handovers.rows)
            if wanted in f"{row.name} {' '.join(one.person for one in row.now)}".lower()
        )
        return Page[view.Watch](rows=rows, total=len(rows), sequence=oncall.sequence)

    def row_id(self, row: view.Watch) -> str:
        """Its kind and name."""
        return f"{row.kind}/{row.name}"

    def cells(self, row: view.Watch, moment: Moment) -> Mapping[str, Span]:
        """One line."""
        return view.cells(row, moment)

    def subject(self, row: view.Watch) -> str:
        """What is copied."""
        return row.name

    async def fetch_detail(self, row: view.Watch) -> view.Calendar:
        """Read the shifts that the strips show."""
        now = self.desk.moment().now
        until = now + (view.DAYS + 1) * _DAY
        read = [
            self.desk.client.shifts(one.schedule, start=now - _DAY, end=until)
            for one in row.schedules
        ]
        return view.Calendar(tuple(await asyncio.gather(*read)))

    def blocks(self, row: view.Watch, detail: Any, moment: Moment) -> Sequence[Block]:
        """Write it."""
        return view.blocks(row, detail if isinstance(detail, view.Calendar) else None, moment)

    def badge(self) -> str:
        """How many lines nobody covers."""
        count = sum(not row.now for row in self.rows)
        return f"{count}!" if count else ""

    def actions(self) -> Sequence[Action]:
        """Override, hand over, take over."""
        return (
            Action("oncall.override", "override", self.override, ("o",), "On call",
                   "Put somebody on call, take somebody off, or one for the other.",
                   self.key, footer=10, changes=True, needs="decide",
                   why_not=self._why_not_override),
            Action("oncall.end", "end override", self.end, ("x",), "On call",
                   "End an override now, or before it begins.",
                   self.key, footer=11, changes=True, needs="decide", why_not=self._why_not_end),
            Action("oncall.handover", "hand over", self.hand_over, ("h",), "Hand-over",
                   "Read what happened in this shift, write what to look out for, hand it over.",
                   self.key, footer=12, changes=True, needs="decide"),
            Action("oncall.take-over", "take over", self.take_over, ("a",), "Hand-over",
                   "Read what was handed over, to its end, and acknowledge it.",
                   self.key, footer=13, changes=True, needs="decide",
                   why_not=self._why_not_take_over),
            kill_action(self),
        )  # fmt: skip

    async def override(self) -> None:
        """Change who is on call for a time."""
        row = self.current
        if row is None or not row.schedules:
            return
        schedule = row.schedules[0]
        now = self.desk.moment().now
        reply = await self.desk.ask(override_question(schedule, now))
        if not reply.confirmed:
            return
        try:
            add = override_from(schedule, reply, now)
        except Invalid as error:
            self.desk.say(f"{error.message} — nothing was sent", "warning", seconds=12)
            return
        made = await self.desk.client.add_override(add)
        until = view.wall_text(made.end, schedule.zone)
        self.desk.say(f"{made.words}, until {until}", "good")
        await self.reload()

    async def end(self) -> None:
        """End an override: the one that is due first where there are several."""
        found = self._overrides()
        if not found:
            return
        reply = await self.desk.ask(end_question(found))
        if reply.confirmed:
            chosen = found[int(reply.values.get("number", "1")) - 1]
            end = EndOverride(reason=reply.reason or "")
            await self.desk.client.end_override(chosen.override, end)
            self.desk.say(f"ended: {chosen.words}", "good")
            await self.reload()

    async def hand_over(self) -> None:
        """Write the hand-over in the person's editor, and give it."""
        row = self.current
        if row is None:
            return
        named = {row.kind: row.name}
        draft = await self.desk.client.handover_draft(**named)
        text = self.desk.edit(draft.text)
        if text is None or not text.strip():
            self.desk.say("nothing was handed over", "warning")
            return
        reply = await self.desk.ask(give_question(draft, text))
        if not reply.confirmed:
            return
        give = GiveHandover(
            **named,
            text=text,
            to=reply.values.get("to") or None,
            draft=draft.digest,
            sequence=draft.sequence,
        )
        given = await self.desk.client.give_handover(give)
        self.desk.say(f"handed over{f' to {given.to}' if given.to else ''}", "good")
        await self.reload()

    async def take_over(self) -> None:
        """Read what was handed over, and acknowledge it."""
        mine = [one for one in (self.current.handovers if self.current else ()) if one.mine]
        if not mine:
            return
        detail = await self.desk.client.handover(mine[0].handover)
        reply = await self.desk.ask(acknowledge_question(detail))
        if reply.confirmed:
            acknowledge = AcknowledgeHandover(digest=detail.digest, note=reply.reason)
            await self.desk.client.acknowledge_handover(detail.handover, acknowledge)
            self.desk.say("you have the watch", "good")
            await self.reload()

    def _overrides(self) -> list[OverrideRow]:
        row = self.current
        return [one for schedule in (row.schedules if row else ()) for one in schedule.overrides]

    def _why_not_override(self) -> str | None:
        if self.current is None:
            return "nothing is selected"
        return None if self.current.schedules else "no schedule stands behind it"

    def _why_not_end(self) -> str | None:
        return None if self._overrides() else "no override stands here"

    def _why_not_take_over(self) -> str | None:
        row = self.current
        if row is None or not row.handovers:
            return "nothing was handed over here"
        mine = any(one.mine for one in row.handovers)
        return None if mine else row.handovers[0].why_not or "it is not handed over to you"
