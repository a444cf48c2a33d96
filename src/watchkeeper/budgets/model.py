"""Caps, and what a reservation, a settlement and a refusal look like.

Amounts are counts (calls, tokens), micro-dollars (``spend``, ``value``), microseconds
(``wall_time``) or points (``risk``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.core.money import dollars
from watchkeeper.core.words import count
from watchkeeper.wire.budgets import Measure, Period

MEASURES: tuple[Measure, ...] = get_args(Measure)
LARGEST_AMOUNT = 10**15
NO_CAP = 2**62
"""Stands in a balance for a measure that nothing caps."""

HoldState = Literal["live", "settled", "voided", "expired"]
"""expired: nobody said how it ended, and it counts as reserved until somebody does."""


class Cap(NamedTuple):
    """The most of one measure that one scope may use in one period.

    `scope` is `all`, `team/<name>`, `agent/<name>`, `version/<agent>@<number>`,
    `project/<name>`, `model/<name>`, `person/<name>` (as :func:`rules.person_scope` writes it),
    or `run/*` for what a contract, or a loan, lets each run use. A cap per run, whatever its
    scope, is kept with the run; one per invocation is kept nowhere.
    """

    scope: str
    period: Period
    measure: Measure
    cap: int
    zone: str = "UTC"
    soft: bool = False
    """Calls pass while anything is left, so the last one may pass the cap."""
    document: str = ""
    """The budget document that it is from; empty: a contract's ceiling, or a loan."""

    @property
    def budget_id(self) -> str:
        """The id that people know the budget by."""
        return budget_id(self.scope, self.period, self.measure)


def budget_id(scope: str, period: Period, measure: Measure) -> str:
    """Name the budget: `team/x/day/spend`, and for a run `run/<id>/spend`.

    The zone is not part of it: budgets that may meet on one scope and period have one zone.
    """
    return f"{scope}/{measure}" if scope.startswith("run/") else f"{scope}/{period}/{measure}"


class Account(NamedTuple):
    """One balance: a scope in one period, for all measures."""

    scope: str
    period: Period
    period_key: str


class Filled(NamedTuple):
    """How far a reservation filled one cap."""

    cap: Cap
    account: Account
    used: int
    """Posted and held, this reservation with it."""
    limit: int
    """The cap with top-ups."""
    asked: int
    """What this reservation took of it."""


@dataclass(frozen=True, slots=True)
class Held:
    """The amounts are held in every account, until settled, voided or expired."""

    decision: str
    accounts: tuple[Account, ...]
    look: Callable[[], tuple[Filled, ...]] = field(default=tuple, compare=False, repr=False)

    @property
    def filled(self) -> tuple[Filled, ...]:
        """Every cap that something was taken of, as the balances were just after."""
        return self.look()


@dataclass(frozen=True, slots=True)
class Refused:
    """One budget has no room; nothing is held anywhere."""

    budget_id: str
    scope: str
    period: Period
    period_key: str
    measure: Measure
    used: int
    held: int
    cap: int
    """With top-ups."""
    asked: int
    resets_at: int | None
    by: Cap
    """The cap that refused: of several on one balance, the one that leaves the least."""

    @property
    def sentence(self) -> str:
        """What to tell the agent and its owner."""
        show = self._show
        if self.period == "invocation":
            return (
                f"budget {self.budget_id} allows {show(self.cap)} per call; "
                f"this needs {show(self.asked)}"
            )
        room = max(0, self.cap - self.used - self.held)
        zone = f" ({self.by.zone})" if self.by.zone != "UTC" else ""
        words = f"budget {self.budget_id} allows {show(self.cap)} per {self.period}{zone}: "
        words += f"{show(self.used)} used"
        if self.held:
            words += f", {show(self.held)} held by calls in flight"
        return f"{words}, {show(room)} left; this needs {show(self.asked)}"

    @property
    def remedy(self) -> str:
        """What would let the action through."""
        if self.period == "invocation":
            return "ask for less in one call"
        reset = f"wait until it resets at {utc_text(self.resets_at)}, or " if self.resets_at else ""
        return f"{reset}have a person top up {self.budget_id}"

    def _show(self, amount: int) -> str:
        return written(self.measure, amount)


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a hold ended. `posted` counts against the budgets; `over` is beyond the estimate."""

    decision: str
    state: HoldState
    posted: Mapping[Measure, int]
    over: Mapping[Measure, int]
    first: bool
    """False if it had ended before and this is what was done then."""


def written(measure: Measure, amount: int) -> str:
    """Write an amount with its unit: `$0.75`, `12 tool calls`, `900 output tokens`."""
    if measure in ("spend", "value"):
        return dollars(amount)
    if measure == "wall_time":
        return f"{amount / MICROSECONDS:,.0f} s"
    if measure == "risk":
        return count(amount, "risk point")
    unit = measure.replace("_", " ")
    if amount == 1:
        unit = "retry" if measure == "retries" else unit.removesuffix("s")
    return f"{amount:,} {unit}"
