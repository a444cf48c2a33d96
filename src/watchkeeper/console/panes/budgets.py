"""Budgets: every cap, how full it is, and topping it up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from watchkeeper.console.actions import Action
from watchkeeper.console.blocks import Block
from watchkeeper.console.columns import Column
from watchkeeper.console.dialogs.killing import kill_action
from watchkeeper.console.dialogs.topping import top_up_question
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, span
from watchkeeper.console.pane import Pane
from watchkeeper.console.views import budgets as view
from watchkeeper.console.words import measure_text
from watchkeeper.wire.budgets import BudgetDetail, BudgetRow, TopUp
from watchkeeper.wire.pages import Page


class BudgetsPane(Pane[BudgetRow]):
    """All caps; exhausted ones say how often they refused."""

    key = "budgets"
    title = "Budgets"
    columns = (
        Column("used", "USED", 11),
        Column("state", "STATE", 11),
        Column("budget", "WHOSE", 22, least=14, grow=2, where="middle"),
        Column("measure", "OF WHAT", 17),
        Column("spent", "USED OF CAP", 17, priority=1),
        Column("refused", "REFUSED", 7, align="right", priority=2),
        Column("held", "HELD", 8, align="right", priority=5),
        Column("forecast", "FULL", 9, priority=3),
        Column("resets", "RESETS", 12, priority=4),
    )
    empty = "No budgets. Contracts and budget: documents set them; see watchkeeper apply."
    watched = ("budget.", "hold.", "outcome.", "decision.", "run.")

    async def fetch(self, after: str | None, limit: int, filter: str) -> Page[BudgetRow]:
        """Read a page of budgets."""
        return await self.desk.client.budgets(after=after, limit=limit, filter=filter or None)

    def row_id(self, row: BudgetRow) -> str:
        """The budget's id."""
        return row.budget

    def cells(self, row: BudgetRow, moment: Moment) -> Mapping[str, Span]:
        """One line."""
        return view.cells(row, moment)

    async def fetch_detail(self, row: BudgetRow) -> BudgetDetail:
        """Read the budget with who draws on it."""
        return await self.desk.client.budget(row.budget)

    def blocks(self, row: BudgetRow, detail: Any, moment: Moment) -> Sequence[Block]:
        """Write the budget."""
        return view.blocks(detail if isinstance(detail, BudgetDetail) else row, moment)

    def caption(self) -> Sequence[Span]:
        """How many refuse."""
        if not (self.window.complete and len(self.window)):
            return ()
        return (span(view.state_words(self.rows), "quiet"),)

    def actions(self) -> Sequence[Action]:
        """Top up, or stop who spends."""
        return (
            Action(
                id="budgets.top-up",
                title="top up",
                keys=("plus",),
                group="Decide",
                run=self.top_up,
                changes=True,
                needs="top-up",
                why_not=self._why_not,
                pane=self.key,
                footer=10,
                explain="Raise this cap for its current period, with a reason.",
            ),
            kill_action(self),
        )

    async def top_up(self) -> None:
        """Ask how much and why, and raise the cap."""
        row = self.current
        if row is None:
            return
        reply = await self.desk.ask(top_up_question(row, self.desk.moment()))
        if not reply.confirmed:
            return
        amount = view.read_amount(row.measure, reply.values["amount"])
        after = await self.desk.client.top_up(
            row.budget, TopUp(amount=amount, reason=reply.reason or "")
        )
        cap = measure_text(after.measure, after.cap + after.topped_up)
        self.desk.say(f"{after.scope}: the cap of this {after.period} is {cap} now", "good")
        await self.reload()

    def _why_not(self) -> str | None:
        return "no budget is selected" if self.current is None else None
