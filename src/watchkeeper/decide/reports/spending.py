"""Spending: what was charged to whom, what budgets did, and whether the ledger says the same."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
from sqlalchemy import func, select

from watchkeeper.core import ids
from watchkeeper.core.money import dollars
from watchkeeper.decide.records import NOBODY_REPORTED
from watchkeeper.decide.reports.model import Asked, Body, Rows, Say, Told, at, said, who
from watchkeeper.decide.spending.price_sources import price_sources
from watchkeeper.decide.spending.shares import shares
from watchkeeper.decide.spending.sums import Scope, Sums, not_counted, rest, sum_up
from watchkeeper.decide.tables import decisions
from watchkeeper.ledger.reading import Pick
from watchkeeper.store.journal import Event
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.reports import ReportSection
from watchkeeper.wire.spending import SpendingBy

_BY: tuple[tuple[str, tuple[SpendingBy, ...]], ...] = (
    ("Teams and projects", ("team", "project")),
    ("Agents", ("agent",)),
    ("Versions", ("version",)),
    ("Models", ("provider", "model")),
    ("Tools", ("tool",)),
)
_d = decisions.c


class _Outcome(msgspec.Struct):
    decision: str = ""
    cost_micros: int = 0
    error: str | None = None


_outcome_of = msgspec.json.Decoder(_Outcome).decode


class Spending(Told):
    """Sums up as chargeback does, and holds that against the outcomes that the ledger has."""

    title = "Spending"
    counted = (
        "actions that were permitted in the period, once they ended, at what they were charged; "
        "outcomes and budgets as the ledger has them"
    )
    picks = (Pick(("outcome.recorded", "budget.")),)

    def __init__(self, asked: Asked, say: Say) -> None:
        super().__init__(asked, say)
        self.missing: tuple[str, ...] = (
            "the provider's own invoice: charges are by the prices that the plane had",
        )
        self._scope = Scope(asked.since, asked.until, teams=asked.teams, agents=asked.agents)
        self._within = tuple(ids.first_at("dec", max(0, at))
                             for at in (asked.since, asked.until))  # fmt: skip
        self._told: Counter[str] = Counter()
        self._presumed: dict[str, int] = {}
        self._until = 0
        self._budgets = self.rows()
        self._sums: list[tuple[str, tuple[SpendingBy, ...], Sums]] = []
        self._kept: dict[str, int] = {}
        self._prices = ""

    def take(self, read: list[Event]) -> int:
        """Take outcomes by what they cost alone: there are as many as there are actions."""
        agents, heard = self.asked.agents, 0
        for event in read:
            if agents is not None and event.agent not in agents:
                continue
            heard += 1
            self._until = event.at
            if event.type != "outcome.recorded":
                self.hear(event, event.body)
                continue
            one = _outcome_of(event.body_text)
            if not self._within[0] <= one.decision < self._within[1]:
                continue
            # what was only presumed gives way to a late report
            before = self._presumed.pop(one.decision, 0)
            if one.error == NOBODY_REPORTED:
                self._presumed[one.decision] = one.cost_micros
            self._told[event.agent or ""] += one.cost_micros - before
        return heard

    def hear(self, event: Event, body: Body) -> None:
        """Take what a budget did, or what was done to it."""
        self._budgets.add(at(event), event.sequence, event.type.removeprefix("budget."),
                          event.subject.partition("/")[2], who(event.actor), said(body, "reason"),
                          self.say(event))  # fmt: skip

    def finish(self, tx: Transaction) -> None:
        """Sum up what is kept of actions."""
        self._sums = [
            (title, by, sum_up(tx, by, self._scope, limit=self.asked.rows)) for title, by in _BY
        ]
        self._prices = "; ".join(price_sources(tx, self._scope)) or "nothing was charged"
        left = not_counted(tx, self._scope)
        missing = list(self.missing)
        if left.unsettled:
            held = dollars(left.unsettled_micros)
            missing.append(f"{left.unsettled:,} actions that have not ended; budgets hold {held}")
        if left.unknown_micros:
            more = dollars(left.unknown_micros)
            missing.append(f"{more} that budgets count for actions whose end nobody knows")
        self.missing = tuple(missing)
        if self.asked.agents is None:
            query = (
                select(_d.agent, func.sum(_d.cost_micros))
                .where(_d.decision >= self._within[0], _d.decision < self._within[1],
                       _d.settled_at <= self._until)
                .group_by(_d.agent)
            )  # fmt: skip
            self._kept = {row[0]: int(row[1]) for row in tx.connection.execute(query)}

    def sections(self) -> tuple[ReportSection, ...]:
        """Return sums by several dimensions, budgets, and the comparison with the ledger."""
        found = [self._charged(title, by, sums) for title, by, sums in self._sums]
        found.append(
            self._budgets.section("Budgets", "What they did and what was done to them, oldest "
                                  "first.", "at", "entry", "what", "budget", "by", "reason",
                                  "in words")
        )  # fmt: skip
        if self.asked.agents is None:
            found.append(self._compared())
        return tuple(found)

    def _charged(self, title: str, by: tuple[SpendingBy, ...], sums: Sums) -> ReportSection:
        table = Rows(self.asked.rows + 2)  # for the others, and for the total
        groups = list(sums.groups)
        if sums.count > len(groups):
            groups.append(rest(sums))
        percent = shares([one.figures["cost_micros"] for one in groups])
        for one, share in zip(groups, percent, strict=True):
            names = list(one.names) or ["all others"] + [""] * (len(by) - 1)
            table.add(*names, *_figures(one.figures), f"{share:.2f} %")
        table.add("total", *[""] * (len(by) - 1), *_figures(sums.total.figures), "")
        table.total += sums.count - len(sums.groups)
        says = f"The dearest first; an action counts when it was permitted. Prices: {self._prices}."
        return table.section(title, says, *by,
                             "calls", "failed", "tokens in", "tokens out", "cost",
                             "micro-dollars", "share")  # fmt: skip

    def _compared(self) -> ReportSection:
        table = self.rows()
        for agent in sorted(self._told.keys() | self._kept.keys()):
            told, kept = self._told[agent], self._kept.get(agent, 0)
            same = "the same" if told == kept else f"DIFFERS by {dollars(kept - told)}"
            table.add(agent, dollars(told), dollars(kept), same)
        return table.section(
            "Held against the ledger", "Outcomes in the ledger, of actions that were permitted and "
            "ended in the period, against the table that sums are made of.", "agent", "ledger",
            "table", "comparison",
        )  # fmt: skip


def _figures(figures: dict[str, int]) -> tuple[Any, ...]:
    cost = figures["cost_micros"]
    return (
        figures["calls"], figures["failed"], figures["input_tokens"], figures["output_tokens"],
        dollars(cost), cost,
    )  # fmt: skip
