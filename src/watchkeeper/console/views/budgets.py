"""Budgets: how full, how fast, and who draws on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from watchkeeper.console.blocks import Blank, Block, Fact, Line, Prose, Title
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, Token, span
from watchkeeper.console.views.aligned import aligned
from watchkeeper.console.views.sparkline import sparkline
from watchkeeper.console.words import (
    BUDGET_STATES,
    MONEY,
    age_text,
    brief_text,
    count_text,
    measure_text,
    measure_word,
    moment_text,
    period_text,
    person_text,
    plural,
    say,
    seconds_between,
    span_text,
)
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Invalid
from watchkeeper.core.money import dollars, micros_from_text
from watchkeeper.wire.budgets import BudgetDetail, BudgetRow

GAUGE_CELLS = 6
TREND_CELLS = 12
FULL, HELD, FREE = "█", "▒", "─"
LARGEST_COUNT = 10**12


def cells(row: BudgetRow, moment: Moment) -> Mapping[str, Span]:
    """Return the cells of a budget."""
    return {
        "used": gauge_cell(row),
        "state": say(BUDGET_STATES, row.state).span,
        "budget": span(brief_text(whose(row.scope)), "strong"),
        "measure": span(f"{measure_word(row.measure)}/{row.period}"),
        "trend": trend_cell(row),
        "burn": burn_cell(row),
        "spent": spent_cell(row),
        "held": span(measure_text(row.measure, row.held), "text" if row.held else "quiet"),
        "refused": span(count_text(row.refused), "critical" if row.refused else "quiet"),
        "forecast": forecast_cell(row, moment),
        "resets": resets_cell(row, moment),
    }


def whose(scope: str) -> str:
    """Say whose a budget is: `team finance-ops`, `person customer/ada`, `everything`."""
    kind, _, name = scope.partition("/")
    return f"{kind} {unquote(name)}" if name else "everything"


def share(amount: int, cap: int) -> float:
    """Return `amount` as a share of `cap`; a cap of nothing is full."""
    return amount / cap if cap > 0 else 1.0


def token_of(row: BudgetRow) -> Token:
    """Return what a budget's state means for the eye."""
    return "good" if row.state == "ok" else say(BUDGET_STATES, row.state).token


def gauge_text(row: BudgetRow, width: int = GAUGE_CELLS) -> str:
    """Draw posted, held and free in `width` cells; anything used shows, nothing hides a rest."""
    cap = row.cap + row.topped_up
    used = min(1.0, share(row.posted + row.held, cap))
    filled = round(used * width)
    if row.posted + row.held > 0:
        filled = max(1, filled)
    if row.posted + row.held < cap:
        filled = min(width - 1, filled)
    posted = min(filled, round(min(1.0, share(row.posted, cap)) * width))
    if row.held == 0:
        posted = filled
    elif row.posted == 0:
        posted = 0
    return FULL * posted + HELD * (filled - posted) + FREE * (width - filled)


def percent_text(row: BudgetRow) -> str:
    """Say how full it is; never ``100%`` while there is room."""
    cap = row.cap + row.topped_up
    used = row.posted + row.held
    percent = int(share(used, cap) * 100)
    return f"{min(percent, 999)}%"


def gauge_cell(row: BudgetRow) -> Span:
    """Draw the gauge with its percentage."""
    return span(f"{percent_text(row):>4} {gauge_text(row)}", token_of(row))


def spent_cell(row: BudgetRow) -> Span:
    """Say what is used and held, of how much."""
    used = measure_text(row.measure, row.posted + row.held)
    return span(f"{used} of {measure_text(row.measure, row.cap + row.topped_up)}")


def state_words(rows: Iterable[BudgetRow]) -> str:
    """Count the budgets, those that refuse first."""
    held = list(rows)
    parts = [
        f"{count} {state}"
        for state in ("exhausted", "throttled", "degraded", "warning")
        if (count := sum(row.state == state for row in held))
    ]
    return " · ".join([*parts, f"{len(held)} in all"])


def trend_cell(row: BudgetRow) -> Span:
    """Draw what was posted lately."""
    return span(sparkline(row.history, TREND_CELLS), "quiet")


def burn_cell(row: BudgetRow) -> Span:
    """Say what the last hour posted."""
    return span(
        measure_text(row.measure, row.per_hour) if row.per_hour else "–",
        "text" if row.per_hour else "quiet",
    )


def cap_cell(row: BudgetRow, moment: Moment) -> Span:
    """Say the cap, with what was added to it and who changed it."""
    text = measure_text(row.measure, row.cap)
    if row.topped_up:
        text += f" +{measure_text(row.measure, row.topped_up)}"
    if row.cap_by:
        until = f" until {moment_text(row.cap_until, moment.now)}" if row.cap_until else ""
        text += f", set by {person_text(row.cap_by)}{until}"
    elif row.mode == "soft":
        text += ", soft: one call may pass it"
    return span(text)


def forecast_cell(row: BudgetRow, moment: Moment) -> Span:
    """Say when it will be exhausted at the rate of late."""
    if row.state == "exhausted":
        return span("now", "critical")
    if row.exhausts_at is None:
        return span("lasts", "quiet")
    left = seconds_between(moment.now, row.exhausts_at)
    return span(f"in {span_text(left)}" if left > 0 else "now", "warning")


def resets_cell(row: BudgetRow, moment: Moment) -> Span:
    """Say when its period ends."""
    if row.resets_at is None:
        return span("with the run" if row.period == "run" else "–", "quiet")
    left = seconds_between(moment.now, row.resets_at)
    return span(f"in {span_text(left)}", "quiet")


def blocks(row: BudgetRow, moment: Moment) -> list[Block]:
    """Write a budget; who draws on it too, once that has been read."""
    said = say(BUDGET_STATES, row.state)
    held: list[Block] = [
        Line(
            [
                span(whose(row.scope), "strong"),
                span(f"  {measure_word(row.measure)} {period_text(row.period)}"),
            ]
        ),
        Line(
            [
                span(f"{gauge_text(row, 24)} {percent_text(row)} ", token_of(row)),
                span(said.text, said.token),
            ]
        ),
        Fact("posted", measure_text(row.measure, row.posted)),
        Fact("held", f"{measure_text(row.measure, row.held)} for actions under way"),
        Fact("cap", cap_cell(row, moment)),
        Fact("room", _room_words(row), "critical" if row.state == "exhausted" else "text"),
        Fact("refused", plural(row.refused, "action"), "critical" if row.refused else "quiet"),
        Fact("burn", f"{measure_text(row.measure, row.per_hour)} in the last hour"),
        Fact("forecast", _forecast_words(row, moment)),
    ]
    if row.history:
        each = f" · {span_text(row.history_seconds)} each" if row.history_seconds else ""
        held.append(Fact("history", f"{sparkline(row.history, 32)}{each}"))
    if row.resets_at is not None:
        zone = "" if row.zone == "UTC" else f" ({row.zone})"
        held.append(Fact("resets", moment_text(row.resets_at, moment.now) + zone))
    held += [Fact("then", one.says) for one in row.responses]
    if row.warn_at:
        levels = ", ".join(f"{level} %" for level in row.warn_at)
        held.append(Fact("warns at", levels, "quiet"))
    if row.request:
        held.append(Fact("top-up", f"a person is asked: {row.request}", "warning"))
    if row.breaker:
        held.append(Fact("breaker", row.breaker, "critical"))
    held.append(Fact("id", row.budget, "quiet"))
    if isinstance(row, BudgetDetail):
        held += [*_spenders(row), *_spent(row, moment)]
    return held


def _room_words(row: BudgetRow) -> str:
    """Say what is left; one may be exhausted with room left, for smaller calls than came."""
    room = max(0, row.cap + row.topped_up - row.posted - row.held)
    said = measure_text(row.measure, room)
    if room and row.state == "exhausted":
        said += ", less than the call that it refused may need"
    return said


def _forecast_words(row: BudgetRow, moment: Moment) -> str:
    if row.state == "exhausted":
        return "exhausted: it refuses until it resets or is topped up"
    if row.exhausts_at is None:
        return "lasts through this period at the rate of late"
    return f"exhausted {moment_text(row.exhausts_at, moment.now)} at the rate of late"


def _spenders(row: BudgetDetail) -> list[Block]:
    if not row.spenders:
        return [Title("Who spends"), Prose("nobody in this period", "quiet")]
    rows = [
        (
            span(spender.agent),
            span(measure_text(row.measure, spender.amount)),
            span(plural(spender.calls, "call"), "quiet"),
        )
        for spender in row.spenders
    ]
    return [Title("Who spends"), *aligned(rows)]


def exact_text(measure: str, amount: int) -> str:
    """Write what one call came to: money to the micro-dollar, where a column rounds it."""
    return dollars(amount) if measure in MONEY else measure_text(measure, amount)


def _spent(row: BudgetDetail, moment: Moment) -> list[Block]:
    if not row.spent:
        return []
    rows = [
        (
            span(age_text(one.at, moment.now), "quiet"),
            span(exact_text(row.measure, one.amount)),
            span(one.agent),
            span(one.name),
            span("held" if one.state == "live" else "", "warning"),
        )
        for one in row.spent
    ]
    more = f"All of it: watchkeeper decisions --budget {row.budget}"
    return [Title("What it paid for"), *aligned(rows, right=(1,)), Blank(), Prose(more, "quiet")]


def read_amount(measure: str, text: str, *, zero: bool = False) -> int:
    """Read an amount that a person typed: dollars, seconds for time, a whole count for the rest.

    `zero`: whether nothing is an amount too. Raises :class:`Invalid` in words a person can act on.
    """
    if measure in MONEY:
        amount = micros_from_text(text)
    else:
        plain = text.strip().replace(",", "").replace("_", "")
        if not (plain.isascii() and plain.isdigit()) or len(plain) > 13:
            raise Invalid("a whole number is needed", remedy="write it as 500")
        amount = int(plain) * (MICROSECONDS if measure == "wall_time" else 1)
    if amount < 0 or amount > LARGEST_COUNT * 1000 or (amount == 0 and not zero):
        raise Invalid("the amount must be more than nothing, and bounded")
    return amount
