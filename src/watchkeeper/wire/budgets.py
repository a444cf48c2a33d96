"""Budgets: caps, what is used and held, and top-ups."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from watchkeeper.wire.base import Reason, Sent, Shown

Measure = Literal[
    "tool_calls",
    "input_tokens",
    "output_tokens",
    "tokens",
    "spend",
    "retries",
    "wall_time",
    "objects",
    "value",
    "messages",
    "risk",
]
"""`spend` and `value` (money moved) are in micro-dollars, `wall_time` in microseconds, `risk` in
points; the others are counts. `objects` are different business objects."""
Period = Literal["invocation", "run", "hour", "day", "week", "month"]
"""A cap per invocation or per run, whatever its scope, is one for each of them. Weeks begin on
Monday."""
Response = Literal["degrade", "throttle", "ask", "pause", "stop"]
BudgetState = Literal["ok", "warning", "degraded", "throttled", "exhausted"]


class ResponseShown(Shown):
    """What happens once a budget is used so far."""

    at: int
    """Percent of the cap."""
    do: Response
    says: str
    """In words: `from 80 % small-fast answers`."""


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
    state: BudgetState
    refused: int = 0
    """Actions it refused in this period."""
    exhausts_at: int | None = None
    """Forecast at the rate of late; absent when it will not in this period."""
    zone: str = "UTC"
    mode: Literal["strict", "soft"] = "strict"
    per_hour: int = 0
    """What the last hour posted."""
    history: tuple[int, ...] = ()
    """What was posted in equal parts of the last while, oldest first, for a small drawing; the
    last part is not over."""
    history_seconds: int = 0
    """How long one part of `history` is."""
    warn_at: tuple[int, ...] = ()
    responses: tuple[ResponseShown, ...] = ()
    cap_by: str | None = None
    """Who changed the cap, where it is not the documents' own."""
    cap_until: int | None = None
    request: str | None = None
    """The top-up that a person is asked for now."""
    breaker: str | None = None
    """An open breaker of who spends here."""


class TopUp(Sent):
    """Raise a cap for its current period only."""

    amount: int = Field(gt=0, le=10**15)
    reason: Reason


class CapChange(Sent):
    """Put another cap in place of the documents', from now on or until a time."""

    cap: int | None = Field(None, ge=0, le=10**15)
    """Absent: back to the documents' cap."""
    until: int | None = None
    reason: Reason


class Spender(Shown):
    """Who spent from a budget lately."""

    agent: str
    amount: int
    calls: int


class Spent(Shown):
    """One action that a budget paid for."""

    decision: str
    at: int
    agent: str
    run: str
    kind: str
    name: str
    amount: int
    """What it posted to the budget, in the budget's unit; what it holds where it still runs."""
    state: Literal["live", "settled", "voided", "expired"]


class BudgetDetail(BudgetRow):
    """A budget with who draws on it and its latest postings."""

    spenders: tuple[Spender, ...] = ()
    spent: tuple[Spent, ...] = ()
    """The largest and newest that it paid for, newest first."""


class BalanceDifference(Shown):
    """A figure of a balance that is not what its holds add up to."""

    budget: str
    period_key: str
    part: Literal["posted", "held"]
    kept: int
    summed: int


class BalanceCheck(Shown):
    """Whether every balance is the sum of its holds."""

    balances: int
    holds: int
    differences: tuple[BalanceDifference, ...] = ()
    """The first of them, if any."""
