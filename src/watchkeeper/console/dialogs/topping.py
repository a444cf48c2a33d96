"""Topping up a budget for its current period, and changing its cap."""

from __future__ import annotations

from watchkeeper.console.blocks import Prose
from watchkeeper.console.desk import Field, Question, Reply
from watchkeeper.console.moment import Moment
from watchkeeper.console.views.budgets import blocks, read_amount, whose
from watchkeeper.console.words import MONEY, measure_word
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.durations import read_duration
from watchkeeper.core.errors import Invalid
from watchkeeper.wire.budgets import BudgetRow, CapChange


def _unit(row: BudgetRow) -> str:
    if row.measure in MONEY:
        return "Dollars"
    return "Seconds" if row.measure == "wall_time" else measure_word(row.measure).capitalize()


def _trouble(error: Invalid) -> str:
    return f"{error.message}; {error.remedy}" if error.remedy else error.message


def top_up_question(row: BudgetRow, moment: Moment) -> Question:
    """Ask how much more, and why."""

    def check(text: str) -> str | None:
        try:
            read_amount(row.measure, text)
        except Invalid as error:
            return _trouble(error)
        return None

    return Question(
        title=f"Top up {whose(row.scope)}?",
        body=blocks(row, moment),
        confirm="Top up",
        reason="required",
        fields=(Field("amount", f"{_unit(row)} to add, this {row.period} only", check=check),),
    )


def cap_question(row: BudgetRow, moment: Moment) -> Question:
    """Ask for another cap, until when, and why."""

    def amount(text: str) -> str | None:
        try:
            if text:
                read_amount(row.measure, text, zero=True)
        except Invalid as error:
            return _trouble(error)
        return None

    def time(text: str) -> str | None:
        try:
            if text:
                read_duration(text)
        except Invalid as error:
            return _trouble(error)
        return None

    return Question(
        title=f"Change the cap of {whose(row.scope)}?",
        body=[
            *blocks(row, moment),
            Prose(
                "It holds from now on, also after the documents are applied again. A cap below "
                "what is used refuses what comes next; what runs goes on. Without an amount the "
                "documents' own cap holds again; without a time it holds until changed.",
                "quiet",
            ),
        ],
        confirm="Change the cap",
        reason="required",
        fields=(
            Field("cap", f"{_unit(row)} per {row.period}", amount),
            Field("until", "For how long (2h, 7d)", time),
        ),
    )


def cap_from(row: BudgetRow, reply: Reply, moment: Moment) -> CapChange:
    """Return the change that was asked for; raise `Invalid` for a time without a cap."""
    cap, time = reply.values.get("cap"), reply.values.get("until")
    if time and not cap:
        raise Invalid("the documents' own cap has no end", remedy="leave the time empty")
    return CapChange(
        cap=read_amount(row.measure, cap, zero=True) if cap else None,
        until=moment.now + read_duration(time) * MICROSECONDS if time else None,
        reason=reply.reason or "",
    )
