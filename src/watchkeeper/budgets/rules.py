"""Which balances an action draws on, and what a balance amounts to. No clock, no storage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from watchkeeper.budgets.model import LARGEST_AMOUNT, MEASURES, NO_CAP, Account, Cap, HoldState
from watchkeeper.budgets.periods import HOUR_US, period_key
from watchkeeper.core.errors import Invalid, NotFound
from watchkeeper.wire.budgets import Measure, Period
from watchkeeper.wire.decisions import OutcomeStatus

WARN_PERCENT = 80

Amounts = dict[Measure, int]


def budget_id(scope: str, period: Period, measure: Measure) -> str:
    """Name the budget: `team/x/day/spend`, and for a run `run/<id>/spend`."""
    return f"{scope}/{measure}" if period == "run" else f"{scope}/{period}/{measure}"


def read_budget_id(text: str) -> tuple[str, Period, Measure]:
    """Take a budget id apart; raise `NotFound` if it names none."""
    head, _, measure = text.rpartition("/")
    scope, period = head, "run"
    if not head.startswith("run/"):
        scope, _, period = head.rpartition("/")
    for known in MEASURES:
        if known == measure and scope and period in ("run", "hour", "day", "month"):
            return scope, period, known  # type: ignore[return-value]
    raise NotFound(f"there is no budget {text!r:.120}", remedy="see `watchkeeper budgets list`")


def check_amounts(amounts: Mapping[str, int]) -> Amounts:
    """Return an amount for every measure; `tokens` is the sum of both kinds if absent."""
    unknown = sorted(amounts.keys() - set(MEASURES))
    if unknown:
        raise Invalid(f"unknown measures: {', '.join(unknown)}", where="amounts")
    filled: Amounts = {measure: amounts.get(measure, 0) for measure in MEASURES}
    if "tokens" not in amounts:
        filled["tokens"] = filled["input_tokens"] + filled["output_tokens"]
    for measure, amount in filled.items():
        if not 0 <= amount <= LARGEST_AMOUNT:
            raise Invalid(f"{measure} is out of bounds: {amount}", where=f"amounts.{measure}")
    return filled


def accounts_of(
    caps: Iterable[Cap], amounts: Amounts, *, run: str, at: int
) -> list[tuple[Account, Amounts]]:
    """Group caps by balance, in one fixed order; of several caps on one the lowest holds.

    Measures of which nothing is asked are left uncapped: they can't run out by this.
    """
    grouped: dict[Account, Amounts] = {}
    for cap in caps:
        scope = f"run/{run}" if cap.period == "run" else cap.scope
        account = Account(scope, cap.period, period_key(cap.period, at, run))
        limits = grouped.setdefault(account, dict.fromkeys(MEASURES, NO_CAP))
        if amounts[cap.measure]:
            limits[cap.measure] = min(limits[cap.measure], max(0, cap.cap))
    return sorted(grouped.items(), key=lambda item: item[0])


def posted_amounts(reserved: Amounts, used: Amounts, status: OutcomeStatus) -> Amounts:
    """Return what a settled hold counts as.

    Calls count as reserved. If nobody knows how it ended, at least what was reserved
    counts, since the provider may have billed it.
    """
    actual = {**used, "tool_calls": reserved["tool_calls"]}
    if status == "unknown":
        return {measure: max(reserved[measure], actual[measure]) for measure in MEASURES}
    return {measure: actual[measure] for measure in MEASURES}


def overshoot(reserved: Amounts, posted: Amounts) -> Amounts:
    """Return by how much each measure went beyond what was reserved for it, if it did."""
    return {
        measure: posted[measure] - reserved[measure]
        for measure in MEASURES
        if posted[measure] > reserved[measure]
    }


def closed_amounts(reserved: Amounts, state: HoldState) -> Amounts:
    """Return what a hold that nobody settled counts as: all if it expired, else nothing."""
    return reserved if state == "expired" else dict.fromkeys(MEASURES, 0)


def budget_state(
    *, cap: int, used: int, last_refused: int
) -> Literal["ok", "warning", "exhausted"]:
    """Say how full a budget is; `cap` with top-ups, `used` with live holds.

    It is exhausted while it would still refuse what it refused last.
    """
    if cap - used < max(1, last_refused):
        return "exhausted"
    return "warning" if used * 100 >= cap * WARN_PERCENT else "ok"


def hourly_rate(*, recent: int, earlier: int, bucket: int, now: int) -> int:
    """Return the amount of the last sixty minutes from this clock hour's and the one before."""
    hour, into = divmod(now, HOUR_US)
    if bucket == hour:
        return recent + earlier * (HOUR_US - into) // HOUR_US
    if bucket == hour - 1:
        return recent * (HOUR_US - into) // HOUR_US
    return 0


def forecast(*, left: int, rate: int, now: int, resets_at: int | None) -> int | None:
    """Return when `left` is used up at `rate` per hour; None if not before the reset."""
    if left <= 0:
        return now
    if rate <= 0:
        return None
    at = now + left * HOUR_US // rate
    if at >= (resets_at if resets_at is not None else now + 24 * HOUR_US):
        return None
    return at
