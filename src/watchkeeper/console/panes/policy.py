"""Policy: the sets in force, what they decided, and what another version would have."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watchkeeper.console.actions import Action
from watchkeeper.console.blocks import Block
from watchkeeper.console.columns import Column
from watchkeeper.console.dialogs.killing import kill_action
from watchkeeper.console.dialogs.staging import rollback_question, stage_question
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, span
from watchkeeper.console.pane import Pane
from watchkeeper.console.views import policies as view
from watchkeeper.wire.decisions import DecisionRow
from watchkeeper.wire.pages import Page
from watchkeeper.wire.plane import File
from watchkeeper.wire.policy import (
    PolicySetDetail,
    PolicySetRow,
    ReplayResult,
    Rollback,
    SetStage,
    StartReplay,
)

DAY_SECONDS = 86_400
POLL_SECONDS = 0.25


@dataclass(frozen=True)
class PolicyFile:
    """Everything that is shown of one set, read from several routes."""

    detail: PolicySetDetail
    decided: Sequence[DecisionRow]


class PolicyPane(Pane[PolicySetRow]):
    """All policy sets with their stages."""

    key = "policy"
    title = "Policy"
    columns = (
        Column("stage", "STAGE", 10),
        Column("fired", "FIRED", 5, align="right", priority=3),
        Column("denied", "DENIED", 6, align="right", priority=1),
        Column("held", "HELD", 5, align="right", priority=2),
        Column("would", "WOULD", 5, align="right", priority=4),
        Column("set", "SET", 22, least=16, grow=3),
        Column("version", "VERSION", 7, priority=5),
        Column("policies", "POLICIES", 8, align="right", priority=6),
        Column("since", "SINCE", 5, align="right", priority=7),
        Column("by", "BY", 14, priority=8),
    )
    empty = "No policies: contracts alone decide. Write *.cedar files and apply them."
    watched = ("policy.", "contract.", "decision.")

    async def fetch(self, after: str | None, limit: int, filter: str) -> Page[PolicySetRow]:
        """Read all sets; the filter works here."""
        page = await self.desk.client.policies()
        if not filter:
            return page
        wanted = filter.lower()
        rows = tuple(
            row for row in page.rows if wanted in f"{row.name} {' '.join(row.policies)}".lower()
        )
        return page.model_copy(update={"rows": rows, "total": len(rows)})

    def row_id(self, row: PolicySetRow) -> str:
        """The set's name."""
        return row.name

    def cells(self, row: PolicySetRow, moment: Moment) -> Mapping[str, Span]:
        """One line."""
        return view.cells(row, moment)

    async def fetch_detail(self, row: PolicySetRow) -> PolicyFile:
        """Read the set with what it decided last."""
        detail, decided = await asyncio.gather(
            self.desk.client.policy(row.name),
            self.desk.client.policy_decisions(row.name, limit=12),
        )
        return PolicyFile(detail, decided.rows)

    def blocks(self, row: PolicySetRow, detail: Any, moment: Moment) -> Sequence[Block]:
        """Write the set."""
        if not isinstance(detail, PolicyFile):
            return view.brief_blocks(row, moment)
        return view.detail_blocks(detail.detail, detail.decided, moment)

    def caption(self) -> Sequence[Span]:
        """How many are at which stage."""
        if not (self.window.complete and len(self.window)):
            return ()
        return (span(view.summary_words(self.rows), "quiet"),)

    def actions(self) -> Sequence[Action]:
        """Rehearse, stage and roll back."""
        return (
            self._action("replay", "w", 10, "Look", self.replay,
                         "See what the last day would have been, were this set enforced.",),
            self._action("versions", "d", 11, "Look", self.versions,
                         "Read every version of this set against the one before it."),
            self._action("stage", "s", 12, "Decide", self.stage,
                         "Move this set to observe, warn or enforce."),
            self._action("rollback", "b", 13, "Decide", self.roll_back,
                         "Put the version before this one in force again; see first what differs."),
            kill_action(self),
        )  # fmt: skip

    def _action(
        self, name: str, key: str, footer: int, group: str, run: Any, explain: str
    ) -> Action:
        return Action(
            id=f"{self.key}.{name}",
            title=name,
            keys=(key,),
            group=group,
            run=run,
            danger=group == "Decide",
            needs="policy-activate" if group == "Decide" else "read",
            why_not=lambda: "no policy set is selected" if self.current is None else None,
            pane=self.key,
            footer=footer,
            explain=explain,
        )

    async def versions(self) -> None:
        """Show every version."""
        row = self.current
        if row is None:
            return
        found = await self.desk.client.policy_versions(row.name)
        moment = self.desk.moment()
        await self.desk.view(f"Versions of {row.name}", view.version_blocks(found.rows, moment))

    async def replay(self) -> None:
        """Decide the last day again with this set enforced as it stands."""
        row = self.current
        if row is None:
            return
        detail = await self.desk.client.policy(row.name)
        await self._rehearse(
            detail.path, detail.text, f"The last 24 hours, with {row.name} v{row.version} enforced"
        )

    async def stage(self) -> None:
        """Ask which stage, and move the set there."""
        row = self.current
        if row is None:
            return
        reply = await self.desk.ask(stage_question(row, self.desk.moment()))
        stage = reply.values.get("stage", "").strip()
        if not reply.confirmed:
            return
        said = SetStage.model_validate(
            {
                "stage": stage,
                "version": row.version,
                "seen": row.stage,
                "reason": reply.reason or "",
            }
        )
        await self.desk.client.stage_policy(row.name, said)
        self.desk.say(f"{row.name}: {stage} now", "good")
        self.desk.mark_dirty()

    async def roll_back(self) -> None:
        """Show the version before, and put it in force if a person confirms."""
        row = self.current
        if row is None:
            return
        versions = (await self.desk.client.policy_versions(row.name)).rows
        earlier = [version for version in versions if version.version < row.version]
        if not earlier:
            self.desk.say(f"{row.name} has no earlier version", "warning")
            return
        newest = next((version for version in versions if version.in_force), None)
        reply = await self.desk.ask(rollback_question(row, earlier[0], newest, self.desk.moment()))
        if not reply.confirmed:
            return
        after = await self.desk.client.roll_back_policy(
            row.name,
            Rollback(to=earlier[0].version, version=row.version, reason=reply.reason or ""),
        )
        self.desk.say(f"{row.name}: v{after.version} has the text of v{earlier[0].version}", "good")
        self.desk.mark_dirty()

    async def _rehearse(self, path: str, text: str, what: str) -> None:
        """Have the plane replay the last day with a changed file; show it as it goes."""
        wanted = StartReplay(files=(File(path=path, text=text),), since_seconds=DAY_SECONDS)
        newest: list[ReplayResult] = [await self.desk.client.start_replay(wanted)]

        async def follow() -> None:
            while newest[0].state == "running":
                await asyncio.sleep(POLL_SECONDS)
                newest[0] = await self.desk.client.replay(newest[0].replay)

        task = asyncio.create_task(follow())
        try:
            await self.desk.view("Replay", lambda: view.replay_blocks(newest[0], what))
        finally:
            task.cancel()
