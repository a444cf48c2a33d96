"""Budgets: every cap, how full it is, who spends, and what may be done about it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from watchkeeper.console.actions import Action
from watchkeeper.console.blocks import Block
from watchkeeper.console.columns import Column
from watchkeeper.console.desk import Desk
from watchkeeper.console.dialogs.breakers import close_breaker
from watchkeeper.console.dialogs.killing import kill_action
from watchkeeper.console.dialogs.topping import (
    cap_from,
    cap_question,
    top_up_question,
)
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, span
from watchkeeper.console.pane import Pane
from watchkeeper.console.views import budgets as view
from watchkeeper.console.views.breakers import breaker_words
from watchkeeper.console.words import measure_text
from watchkeeper.core.errors import Invalid
from watchkeeper.wire.breakers import BreakerRow
from watchkeeper.wire.budgets import BudgetDetail, BudgetRow, TopUp
from watchkeeper.wire.pages import Page

_MOST_BREAKERS = 50


class BudgetsPane(Pane[BudgetRow]):
    """All caps; exhausted ones say how often they refused."""

    key = "budgets"
    title = "Budgets"
    columns = (
        Column("used", "USED", 11),
        Column("state", "STATE", 11),
        Column("budget", "WHOSE", 24, least=14, grow=2, where="middle"),
        Column("measure", "OF WHAT", 17, least=14),
        Column("spent", "USED OF CAP", 17, least=15, priority=1),
        Column("refused", "REFUSED", 7, align="right", priority=2),
        Column("forecast", "FULL", 9, priority=3),
        Column("trend", "LATELY", view.TREND_CELLS, priority=4),
        Column("burn", "PER HOUR", 8, align="right", priority=5),
        Column("resets", "RESETS", 12, priority=6),
        Column("held", "HELD", 8, align="right", priority=7),
    )
    empty = "No budgets. Contracts and budget: documents set them; see watchkeeper apply."
    watched = ("budget.", "hold.", "outcome.", "decision.", "run.", "breaker.")

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.breakers: tuple[BreakerRow, ...] = ()
        """The breakers that are not closed, as last read."""

    async def fetch(self, after: str | None, limit: int, filter: str) -> Page[BudgetRow]:
        """Read a page of budgets, and which breakers are open."""
        client = self.desk.client
        page, breakers = await asyncio.gather(
            client.budgets(after=after, limit=limit, filter=filter or None),
            client.breakers(state="open", limit=_MOST_BREAKERS),
        )
        self.breakers = breakers.rows
        return page

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
        """How many refuse, and which breakers are open."""
        spans = []
        if self.window.complete and len(self.window):
            spans.append(span(view.state_words(self.rows), "quiet"))
        lead = " · " if spans else ""
        if self.breakers:
            words = breaker_words(self.breakers[0], self.desk.moment())
            more = f" (+{len(self.breakers) - 1})" if len(self.breakers) > 1 else ""
            spans.append(span(f"{lead}breaker {words}{more}", "critical"))
        return spans

    def actions(self) -> Sequence[Action]:
        """Top up, change the cap, close a breaker, or stop who spends."""
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
            Action(
                id="budgets.cap",
                title="cap",
                keys=("c",),
                group="Decide",
                run=self.change_cap,
                changes=True,
                needs="top-up",
                why_not=self._why_not,
                pane=self.key,
                footer=11,
                explain="Put another cap in place of the documents', or take it back.",
            ),
            Action(
                id="budgets.reset",
                title="close breaker",
                keys=("b",),
                group="Decide",
                run=self.reset,
                changes=True,
                needs="lift",
                why_not=lambda: None if self.breakers else "no breaker is open",
                pane=self.key,
                footer=12,
                explain="Close a circuit breaker by hand, with a reason.",
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
        whose = view.whose(after.scope)
        self.desk.say(f"{whose}: the cap of this {after.period} is {cap} now", "good")
        await self.reload()

    async def change_cap(self) -> None:
        """Ask for another cap, and put it in place."""
        row = self.current
        if row is None:
            return
        moment = self.desk.moment()
        reply = await self.desk.ask(cap_question(row, moment))
        if not reply.confirmed:
            return
        try:
            change = cap_from(row, reply, moment)
        except Invalid as error:
            self.desk.say(f"{error.message} — nothing was sent", "warning", seconds=12)
            return
        after = await self.desk.client.change_cap(row.budget, change)
        cap = measure_text(after.measure, after.cap)
        self.desk.say(f"{view.whose(after.scope)}: {cap} per {after.period} from now on", "good")
        await self.reload()

    async def reset(self) -> None:
        """Ask which breaker and why, and close it."""
        if await close_breaker(self.desk, self.breakers):
            await self.reload()

    def _why_not(self) -> str | None:
        return "no budget is selected" if self.current is None else None
