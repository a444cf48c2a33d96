"""Budgets: caps, what is used and held, and top-ups."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from watchkeeper.wire.base import Reason, Sent, Shown

Measure = Literal["tool_calls", "input_tokens", "output_tokens", "tokens", "spend"]
"""`spend` is in micro-dollars; the others are counts."""
Period = Literal["run", "hour", "day", "month"]


class BudgetRow(Shown):
    """One cap on one measure in one scope and period."""

    budget: str
    """Id, e.g. `team/finance-ops/day/spend` or `run/run_01…/spend`."""
    scope: str
    measure: Measure
    period: Period
    period_key: str
    cap: int
    topped_up: int
    posted: int
    held: int
    resets_at: int | None = None
    state: Literal["ok", "warning", "exhausted"]
    refused: int = 0
    """Actions it refused in this period."""
    exhausts_at: int | None = None
    """Forecast at the rate of the last hour; absent when it will not in this period."""


class TopUp(Sent):
    """Raise a cap for its current period only."""

    amount: int = Field(gt=0, le=10**15)
    reason: Reason


class Spender(Shown):
    """Who spent from a budget lately."""

    agent: str
    amount: int
    calls: int


class BudgetDetail(BudgetRow):
    """A budget with who draws on it and its latest postings."""

    spenders: tuple[Spender, ...] = ()
