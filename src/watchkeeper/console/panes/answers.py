"""Answers: what a question about what happened found, each line leading to where it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from watchkeeper.console.actions import Action
from watchkeeper.console.blocks import Block
from watchkeeper.console.columns import Column
from watchkeeper.console.desk import Desk
from watchkeeper.console.dialogs import asking
from watchkeeper.console.dialogs.killing import kill_action
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, span
from watchkeeper.console.pane import Pane
from watchkeeper.console.views import questions as view
from watchkeeper.wire.pages import Page
from watchkeeper.wire.plane import EventRow

UNASKED = "Nothing was asked. :ask asks; in Runs and in a trace b asks what it rested on."


class AnswersPane(Pane[view.Line]):
    """The answer to the question asked last; it stands until it is asked again."""

    key = "answers"
    title = "Answers"
    columns: tuple[Column, ...] = view.STEPS
    empty = UNASKED

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.question: str | None = None
        self.table: view.Table | None = None
        self._asked_as = ""
        """What the question was asked as: the same words, asked again, have another answer."""

    async def fetch(self, after: str | None, limit: int, filter: str) -> Page[view.Line]:
        """Ask, and return every line; the filter works here."""
        if self.question is None and self.window.current_id:
            self.question = self.window.current_id.rpartition("#")[0]  # as it was last time
        if not self.question:
            return Page[view.Line](rows=())
        found = view.table(self.question, await asking.ask(self.desk.client, self.question))
        self.table, self.columns = found, found.columns
        self.empty = "Nothing was found. d shows what was counted, and what cannot be."
        wanted = filter.lower().split()
        rows = tuple(line for line in found.lines if view.matches(line, wanted))
        return Page[view.Line](rows=rows, total=len(rows))

    def row_id(self, row: view.Line) -> str:
        """The question and the line's number."""
        return row.id

    def subject(self, row: view.Line) -> str:
        """What is copied: the step or run, or what runs are narrowed to."""
        return row.row or row.filter or row.id

    def cells(self, row: view.Line, moment: Moment) -> Mapping[str, Span]:
        """One line."""
        return row.cells

    def blocks(self, row: view.Line, detail: Any, moment: Moment) -> Sequence[Block]:
        """Write the whole answer."""
        return () if self.table is None else self.table.blocks(moment)

    def caption(self) -> Sequence[Span]:
        """What was asked."""
        if self.table is None:
            return ()
        return (span(self.table.title, "strong"), span("  r asks again", "quiet"))

    def on_events(self, events: Sequence[EventRow]) -> None:
        """An answer stands; whoever asked wants to look at it in peace."""

    def open(self, row: view.Line) -> bool:
        """Go to the step, the run, or the runs."""
        if not row.pane:
            return False
        self.desk.show(row.pane, row.row, filter=row.filter)
        return True

    async def turn_to(self, identity: str) -> bool:
        """Ask another question."""
        self.question, _, self._asked_as = identity.rpartition("#")
        self.table = None
        self.clear_marks()
        self.window.narrow("")
        self.window.forget()
        await self.reload()
        self.window.notice = None
        return True

    def select(self, identity: str) -> bool:
        """Put the cursor on a line; what a question was asked as stands for all of its answer."""
        asked, _, line = identity.rpartition("#")
        if line == self._asked_as and asked == self.question and self.table is not None:
            self.window.move_to(0)
            return True
        return super().select(identity)

    def actions(self) -> Sequence[Action]:
        """Read the whole answer, ask another question."""
        return (
            Action("answers.detail", "what was counted", self.show_whole, ("d",), "Look",
                   "The whole answer: what it counts, and what is not in it.", self.key,
                   layers=("list",), footer=60, why_not=self._why_nothing),
            Action("answers.another", "ask", self.ask_another, ("a",), "Look",
                   "Ask another question.", self.key, footer=61),
            kill_action(self),
        )  # fmt: skip

    async def show_whole(self) -> None:
        """Show the whole answer, also where it has no line."""
        if self.table is not None:
            blocks = self.table.blocks(self.desk.moment())
            await self.desk.view(self.table.title, blocks)

    async def ask_another(self) -> None:
        """Choose a question."""
        await asking.choose(self.desk)

    def _why_nothing(self) -> str | None:
        return None if self.table is not None else "nothing was asked"
