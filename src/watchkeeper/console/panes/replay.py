"""Replay: one run step by step as it happened, and as other rules would decide it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from watchkeeper.console.actions import Action
from watchkeeper.console.blocks import Block
from watchkeeper.console.columns import Column
from watchkeeper.console.desk import Desk
from watchkeeper.console.dialogs import replaying
from watchkeeper.console.dialogs.exporting import evidence_action
from watchkeeper.console.dialogs.killing import kill_action
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, span
from watchkeeper.console.panes.one_run import OneRunPane
from watchkeeper.console.views import replays as view
from watchkeeper.console.views.replays import Other
from watchkeeper.console.words import id_text, plural
from watchkeeper.core.errors import NotFound
from watchkeeper.wire.pages import Page
from watchkeeper.wire.replays import ReplayedStep, StepDetail, StepRow

_STEP = Column("step", "STEP", 5, align="right")
_NAME = Column("name", "ACTION", 30, least=18, grow=3)
_RULE = Column("rule", "RULE", 30, least=14, grow=2, priority=2)
_COST = Column("cost", "COST", 7, align="right", priority=1)
AS_IT_WAS = (
    _STEP, Column("at", "AT", 9, priority=5), _NAME, Column("then", "DECIDED", 11),
    Column("ended", "ENDED", 11, priority=3), _COST,
    Column("before", "BEFORE IT", 9, align="right", priority=4), _RULE,
)  # fmt: skip
AGAIN = (
    _STEP, _NAME, Column("then", "THEN", 11), Column("now", "NOW", 11),
    _COST, _RULE,
)  # fmt: skip


class ReplayPane(OneRunPane[StepRow]):
    """The steps of a run; nothing here performs what it did."""

    key = "replay"
    title = "Replay"
    columns: tuple[Column, ...] = AS_IT_WAS
    page_size = 200

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.agent = ""
        self.replay_of: str | None = None
        self.again: Other | None = None
        """The run as it would be decided under other rules."""
        self._again: dict[str, ReplayedStep] = {}

    def begin(self) -> None:
        """Go back to the run as it was."""
        self.show_again(None)

    def show_again(self, found: Other | None) -> None:
        """Show how it would be decided beside how it was; None only how it was."""
        self.again = found
        self._again = {} if found is None else {one.decision: one for one in found.run.steps}
        self.columns = AS_IT_WAS if found is None else AGAIN
        self.detail, self._detail_of = None, None  # it says what the other rules would do

    async def fetch(self, after: str | None, limit: int, filter: str) -> Page[StepRow]:
        """Read a page of steps; the filter works here."""
        run = self.known_run()
        if run is None:
            return Page[StepRow](rows=())
        try:
            found = await self.desk.client.steps(
                run, after=int(after) if after else None, limit=limit
            )
        except NotFound:
            self.empty = self.no_such_run()
            return Page[StepRow](rows=())
        self.agent, self.replay_of = found.agent, found.replay_of
        self.empty = f"Run {id_text(run)} asked for nothing."
        rows = found.rows
        if filter:
            rows = tuple(row for row in rows if view.matches(row, filter))
        following = str(found.next) if found.next is not None else None
        return Page[StepRow](rows=rows, next=following)

    def select(self, identity: str) -> bool:
        """Put the cursor on a step; a run without a step stands for its first one."""
        run, _, step = identity.partition(":")
        if not step and run == self.run and self.window.loaded:
            self.window.move_to(0)
            return True
        return super().select(identity)

    def row_id(self, row: StepRow) -> str:
        """The run and the decision."""
        return f"{self.run}:{row.decision}"

    def subject(self, row: StepRow) -> str:
        """What is copied: the decision."""
        return row.decision

    def cells(self, row: StepRow, moment: Moment) -> Mapping[str, Span]:
        """One line."""
        return view.cells(row, self._again.get(row.decision))

    async def fetch_detail(self, row: StepRow) -> StepDetail:
        """Read what was known at it."""
        return await self.desk.client.step(self.run or "", row.decision)

    def blocks(self, row: StepRow, detail: Any, moment: Moment) -> Sequence[Block]:
        """Write the step."""
        known = detail if isinstance(detail, StepDetail) else None
        return view.blocks(row, known, self._again.get(row.decision), self.again, moment)

    def caption(self) -> Sequence[Span]:
        """Whose run it is, or what other rules would have changed."""
        if self.run is None or not self.agent:
            return ()
        if self.again is not None:
            return view.summary(self.again)
        what = f"a replay of {id_text(self.replay_of)}" if self.replay_of else "as it happened"
        more = "" if self.window.complete else " or more"
        return (
            span(f"{self.agent}  ", "strong"),
            span(f"{what}, {plural(len(self.window), 'step')}{more}", "quiet"),
            span("  nothing here runs again", "quiet"),
        )

    def actions(self) -> Sequence[Action]:
        """Step on, decide it again, ask a model again, go where a step leads."""
        return (
            Action("replay.trouble", "next that matters", self.next_trouble, ("n",), "Look",
                   "Go to the next step that did not go through; decided again: that differs.",
                   self.key, layers=("list",), footer=12),
            Action("replay.decide", "other rules", self.decide_again, ("w",), "Look",
                   "Decide every step again under a file of yours; nothing is put in force.",
                   self.key, footer=10, needs="read", why_not=self.why_no_run),
            Action("replay.plain", "as it was", self.show_plain, ("x",), "Look",
                   "Take away what other rules would have decided.", self.key, footer=13,
                   why_not=self._why_not_again),
            Action("replay.fork", "fork", self.fork, ("F",), "Act",
                   "Ask the model once more, with another result of this tool. It costs money.",
                   self.key, footer=14, danger=True, needs="replay", why_not=self._why_no_fork),
            Action("replay.trace", "trace", self.show_trace, ("T",), "Look",
                   "Go to this step in the trace of the run.", self.key,
                   why_not=self.why_nothing),
            Action("replay.run", "run", self.show_run, ("R",), "Look",
                   "The run itself, in Runs.", self.key, why_not=self.why_no_run),
            evidence_action(self),
            kill_action(self),
        )  # fmt: skip

    def next_trouble(self) -> None:
        """Go to the next step that somebody would stop at; after the last one, to the first."""
        rows, here = self.rows, self.window.cursor
        order = [*range(here + 1, len(rows)), *range(min(here + 1, len(rows)))]
        for place in order:
            if view.troubled(rows[place], self._again.get(rows[place].decision)):
                self.desk.show(self.key, self.row_id(rows[place]))
                return
        what = "no verdict differs" if self.again else "every step went through"
        self.desk.say(f"{what} among what is read")

    async def decide_again(self) -> None:
        """Ask for a file, and decide the run again under it."""
        if self.run is None:
            return
        found = await replaying.decide_again(self.desk, self.run)
        if found is not None:
            self.show_again(found)
            self.mark_dirty()

    def show_plain(self) -> None:
        """Show it as it was."""
        self.show_again(None)
        self.mark_dirty()

    async def fork(self) -> None:
        """Ask a model once more with another result."""
        if self.run is not None and self.current is not None:
            await replaying.fork(self.desk, self.run, self.current)

    def show_trace(self) -> None:
        """Go to the step in the trace."""
        if self.current is not None:
            self.desk.show("trace", self.row_id(self.current))

    def _why_not_again(self) -> str | None:
        return None if self.again is not None else "it is shown as it was"

    def _why_no_fork(self) -> str | None:
        row = self.current
        if row is None:
            return "no step is chosen"
        return None if row.verdict == "permit" else "it did not run: no model was told of it"
