"""Topping up a budget for its current period."""

from __future__ import annotations

from watchkeeper.console.desk import Field, Question
from watchkeeper.console.moment import Moment
from watchkeeper.console.views.budgets import blocks, read_amount
from watchkeeper.console.words import measure_word
from watchkeeper.core.errors import Invalid
from watchkeeper.wire.budgets import BudgetRow


def top_up_question(row: BudgetRow, moment: Moment) -> Question:
    """Ask how much more, and why."""
    label = "Dollars" if row.measure == "spend" else measure_word(row.measure).capitalize()

    def check(text: str) -> str | None:
        try:
            read_amount(row.measure, text)
        except Invalid as error:
            return f"{error.message}; {error.remedy}" if error.remedy else error.message
        return None

    return Question(
        title=f"Top up {row.scope}?",
        body=blocks(row, moment),
        confirm="Top up",
        reason="required",
        fields=(Field("amount", f"{label} to add, this {row.period} only", check=check),),
    )
