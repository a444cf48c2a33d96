"""Which balances an action draws on, and what a balance amounts to. No clock, no storage."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Literal, NamedTuple, cast

from watchkeeper.budgets.model import LARGEST_AMOUNT, MEASURES, Account, Cap, HoldState
from watchkeeper.budgets.periods import CALENDAR, HOUR_US, period_key
from watchkeeper.core.errors import Invalid, NotFound
from watchkeeper.wire.budgets import Measure, Period
from watchkeeper.wire.decisions import OutcomeStatus

WARN_PERCENT = 80

Amounts = dict[Measure, int]
_NOTHING: Amounts = dict.fromkeys(MEASURES, 0)
COUNTED_WHEN_BEGUN: tuple[Measure, ...] = ("tool_calls", "messages", "objects", "risk")


def read_budget_id(text: str) -> tuple[str, Period, Measure]:
    """Take a budget id apart; raise `NotFound` if it names none."""
    head, _, measure = text.rpartition("/")
    scope, period = head, "run"
    if not head.startswith("run/"):
        scope, _, period = head.rpartition("/")
    for known in MEASURES:
        if known == measure and scope and period in ("run", "invocation", *CALENDAR):
            return scope, period, known
    raise NotFound(f"there is no budget {text!r:.120}", remedy="see `watchkeeper budgets list`")


def read_own_budget_id(text: str) -> tuple[str, Period, Measure]:
    """Take the id of one budget apart; raise `Invalid` where it stands for each of a kind, whose
    budgets are their own, `NotFound` if it names none.
    """
    found = read_budget_id(text)
    if "*" in found[0]:
        raise Invalid(
            f"{text:.120} is no budget of its own: each has one",
            where="budget",
            rule="budget/each",
            remedy="name one of them, or change the document",
        )
    return found


def zone_over(standing: Iterable[Cap], scope: str, period: Period) -> str:
    """Return the zone that budgets of a scope and period are in; none of them: UTC."""
    kind = scope.partition("/")[0] + "/*"
    for cap in standing:
        if cap.period == period and cap.scope in (scope, kind):
            return cap.zone
    return "UTC"


def check_amounts(amounts: Mapping[Any, int]) -> Amounts:
    """Return an amount for every measure; `tokens` is the sum of both kinds if absent."""
    filled: Amounts = {**_NOTHING, **amounts}
    if len(filled) != len(MEASURES):
        unknown = sorted(amounts.keys() - set(MEASURES))
        raise Invalid(f"unknown measures: {', '.join(unknown)}", where="amounts")
    if "tokens" not in amounts:
        filled["tokens"] = filled["input_tokens"] + filled["output_tokens"]
    if min(filled.values()) < 0 or max(filled.values()) > LARGEST_AMOUNT:
        for measure, amount in filled.items():
            if not 0 <= amount <= LARGEST_AMOUNT:
                raise Invalid(f"{measure} is out of bounds: {amount}", where=f"amounts.{measure}")
    return filled


Room = tuple[int, Cap]
"""How far a measure of a balance may be filled by what is asked, and the cap that says so."""


class Drawn(NamedTuple):
    """A balance that is drawn on."""

    account: Account
    limits: dict[Measure, Room]
    """By measure that something is asked of."""
    caps: list[Cap]
    """All of them, of such measures."""


def accounts_of(
    caps: Iterable[Cap], amounts: Mapping[Measure, int], *, run: str, at: int
) -> list[Drawn]:
    """Group caps by balance, in one fixed order; of several on one measure the tightest holds.

    Measures of which nothing is asked are left uncapped: they can't run out by this. A soft cap
    lets pass what finds anything left. Caps per invocation have no balance.
    """
    grouped: dict[Account, Drawn] = {}
    own = Account(f"run/{run}", "run", run)
    for cap in caps:
        scope, period, measure, most, zone, soft, _ = cap
        if period == "invocation":
            continue
        account = own
        if period != "run":
            account = Account(scope, period, period_key(period, at, run, zone))
        drawn = grouped.get(account)
        if drawn is None:
            drawn = grouped[account] = Drawn(account, {}, [])
        asked = amounts[measure]
        if asked:
            room = max(most, 0) + asked - 1 if soft else max(most, 0)
            limits = drawn.limits
            if measure not in limits or room < limits[measure][0]:
                limits[measure] = (room, cap)
            drawn.caps.append(cap)
    return sorted(grouped.values(), key=itemgetter(0))


def write_accounts(accounts: Iterable[Account]) -> str:
    """Write balances as a hold keeps them: a line for each."""
    return "\n".join([" ".join(account) for account in accounts])


def read_accounts(text: str) -> list[Account]:
    """Read the balances of a hold."""
    found = []
    for line in text.split("\n"):
        scope, period, key = line.split(" ")
        found.append(Account(scope, cast(Period, period), key))
    return found


def write_touches(
    touches: str, accounts: Sequence[Account], counting: Container[Account]
) -> str | None:
    """Write a business object with which of a hold's balances count it; None: none of them."""
    places = [str(place) for place, account in enumerate(accounts) if account in counting]
    return f"{','.join(places)} {touches}" if places else None


def read_touches(text: str, accounts: Sequence[Account]) -> tuple[str, list[Account]]:
    """Read a hold's business object and the balances that count it."""
    places, _, touches = text.partition(" ")
    return touches, [accounts[int(place)] for place in places.split(",")]


def beyond_one_call(caps: Iterable[Cap], amounts: Mapping[Measure, int]) -> Cap | None:
    """Return the first cap per invocation that one call would pass, or None.

    A soft one is passed by one call at most, so it refuses only where it is zero.
    """
    for cap in caps:
        if cap.period == "invocation":
            asked = amounts[cap.measure]
            if asked > cap.cap and not (cap.soft and cap.cap > 0):
                return cap
    return None


def posted_amounts(
    reserved: Amounts, used: Amounts, status: OutcomeStatus, *, elapsed: int
) -> Amounts:
    """Return what a settled hold counts as.

    Calls, messages, objects and risk count as reserved, whatever came of them. Value moved counts
    unless the action failed; time is what it took (`elapsed`) where time was reserved. A retry
    counts that was reserved or reported. If nobody knows how it ended, at least what was
    reserved counts, since the provider may have billed it.
    """
    if status == "unknown":
        return {measure: max(reserved[measure], used[measure]) for measure in MEASURES}
    posted = dict(used)
    for measure in COUNTED_WHEN_BEGUN:
        posted[measure] = reserved[measure]
    posted["retries"] = max(reserved["retries"], used["retries"])
    posted["value"] = reserved["value"] if status == "succeeded" else 0
    posted["wall_time"] = elapsed if reserved["wall_time"] else 0
    return posted


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


def likely_rate(*, hour: int, day: int, elapsed: int) -> int:
    """Return what is likely to be posted in an hour from now on.

    Half of it is what the last hour posted (`hour`), half the mean of the last day or of the
    period so far (`day`, over `elapsed` microseconds; less than an hour counts as one): a burst
    does not announce the end, nor a pause that there is none. Of forecasts with different errors
    the plain mean is hard to beat (J. M. Bates, C. W. J. Granger, The Combination of Forecasts,
    1969); two windows as in the SRE Workbook's burn rates (Google, 2018, chapter 5).
    """
    return (hour + day * HOUR_US // max(elapsed, HOUR_US)) // 2


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
