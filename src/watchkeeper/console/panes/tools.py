"""Tools: what agents may reach, whether it is what it was, and what waits in quarantine."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from watchkeeper.console.actions import Action
from watchkeeper.console.blocks import Block
from watchkeeper.console.columns import Column
from watchkeeper.console.desk import Question
from watchkeeper.console.dialogs.killing import kill_action, lift_action
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, span
from watchkeeper.console.pane import Pane
from watchkeeper.console.views import tools as view
from watchkeeper.console.words import QUARANTINED
from watchkeeper.wire.pages import Page
from watchkeeper.wire.tools import JudgeDefinition, QuarantineRow, ToolRow


class ToolsPane(Pane[ToolRow]):
    """All tools, under contract or only offered; quarantined ones can be judged here."""

    key = "tools"
    title = "Tools"
    columns = (
        Column("state", "STATE", 13),
        Column("calls", "CALLS", 6, align="right", priority=3),
        Column("denied", "DENIED", 6, align="right", priority=2),
        Column("tool", "TOOL", 28, least=26, grow=2, where="middle"),
        Column("access", "ACCESS", 6, priority=4),
        Column("risk", "RISK", 10, priority=1),
        Column("agents", "AGENTS", 6, align="right", priority=6),
        Column("upstream", "UPSTREAM", 12, priority=5),
        Column("does", "WHAT IT DOES", 24, grow=3, priority=7),
    )
    empty = "No tools yet. Draft contracts from an upstream: watchkeeper tools draft UPSTREAM"
    watched = ("tool.", "contract.", "upstream.", "lock.", "decision.")

    async def fetch(self, after: str | None, limit: int, filter: str) -> Page[ToolRow]:
        """Read a page of tools."""
        return await self.desk.client.tools(after=after, limit=limit, filter=filter or None)

    def row_id(self, row: ToolRow) -> str:
        """The tool's name."""
        return row.name

    def cells(self, row: ToolRow, moment: Moment) -> Mapping[str, Span]:
        """One line."""
        return view.cells(row, moment)

    async def fetch_detail(self, row: ToolRow) -> view.ToolFile | None:
        """Read the tool and how its upstream does; what has no contract has no more to it."""
        if not row.covered:
            return None
        client = self.desk.client
        detail, upstreams = await asyncio.gather(client.tool(row.name), client.upstreams())
        standing = (up for up in upstreams.rows if up.name == row.upstream and up.kind != "model")
        return view.ToolFile(detail, next(standing, None))

    def blocks(self, row: ToolRow, detail: Any, moment: Moment) -> Sequence[Block]:
        """Write the tool."""
        if not isinstance(detail, view.ToolFile):
            return view.brief_blocks(row)
        return view.detail_blocks(detail, moment)

    def caption(self) -> Sequence[Span]:
        """How many are under contract, in quarantine, or neither, and which upstreams are down."""
        spans: list[Span] = []
        if self.window.complete and len(self.window):
            spans.append(span(view.summary_words(self.rows), "quiet"))
        status = self.desk.status
        if status is not None and status.upstreams_down:
            lead = " · " if spans else ""
            down = ", ".join(status.upstreams_down)
            spans.append(span(f"{lead}■ down: {down}", "critical"))
        return spans

    def badge(self) -> str:
        """How many wait in quarantine."""
        count = sum(row.state in QUARANTINED for row in self.rows)
        return str(count) if count else ""

    def actions(self) -> Sequence[Action]:
        """Judge a definition, or stop the tool."""
        return (
            self._judging("accept", "a", 10, "Trust exactly the definition that is offered now."),
            self._judging("reject", "x", 11, "Say that the offered definition is not wanted."),
            kill_action(self),
            lift_action(self),
        )

    def _judging(self, verdict: str, key: str, footer: int, explain: str) -> Action:
        async def run() -> None:
            await self._judge(verdict)

        return Action(
            id=f"{self.key}.{verdict}",
            title=verdict,
            keys=(key,),
            group="Decide",
            run=run,
            danger=True,
            needs="tools-accept",
            why_not=self._why_not,
            pane=self.key,
            footer=footer,
            explain=explain,
        )

    def _why_not(self) -> str | None:
        row = self.current
        if row is None:
            return "no tool is selected"
        return None if row.state in QUARANTINED else "its definition is not in quarantine"

    async def _judge(self, verdict: str) -> None:
        """Show what is offered against what is trusted, and send the person's word on it."""
        row = self.current
        if row is None:
            return
        held = await self._find(row)
        if held is None:
            self.desk.say(f"{row.name} has left quarantine", "good")
            self.mark_dirty()
            return
        if verdict == "accept" and not held.acceptable:
            self.desk.say(held.why, "warning")
            return
        moment = self.desk.moment()
        reply = await self.desk.ask(
            Question(
                title=f"{'Trust' if verdict == 'accept' else 'Reject'} this definition?",
                body=view.judging_blocks(held, moment),
                confirm=verdict.capitalize(),
                danger=verdict == "accept",
                reason="required",
                type_name=held.tool if verdict == "accept" else None,
                read_to_end=verdict == "accept",
            )
        )
        if not reply.confirmed:
            return
        said = JudgeDefinition(
            upstream=held.upstream, tool=held.tool, digest=held.digest, reason=reply.reason or ""
        )
        client = self.desk.client
        await (
            client.accept_definition(said)
            if verdict == "accept"
            else client.reject_definition(said)
        )
        self.desk.say(f"{verdict}ed: {held.upstream} / {held.tool}", "good")
        self.desk.mark_dirty()

    async def _find(self, row: ToolRow) -> QuarantineRow | None:
        """Read what stands in quarantine for a row now."""
        found = await self.desk.client.quarantine()
        for held in found.rows:
            if held.upstream == row.upstream and held.tool == row.upstream_tool:
                return held
        return None
