"""Caps, and what a reservation, a settlement and a refusal look like.

Amounts are counts (calls, tokens) or, for ``spend``, micro-dollars.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.core.money import dollars
from watchkeeper.wire.budgets import Measure, Period

MEASURES: tuple[Measure, ...] = get_args(Measure)
LARGEST_AMOUNT = 10**15
NO_CAP = 2**62
"""Stands in a balance for a measure that nothing caps."""

HoldState = Literal["live", "settled", "voided", "expired"]


@dataclass(frozen=True, slots=True)
class Cap:
    """The most of one measure that one scope may use in one period.

    `scope` is `run/<id>`, `agent/<name>`, `team/<name>` or `all`. A cap per run, whatever
    its scope, is kept with the run. `budget_id` is `<scope>/<period>/<measure>`, for a
    run `run/<id>/<measure>`.
    """

    budget_id: str
    scope: str
    period: Period
    measure: Measure
    cap: int


@dataclass(frozen=True, slots=True, order=True)
class Account:
    """One balance: a scope in one period, for all measures."""

    scope: str
    period: Period
    period_key: str


@dataclass(frozen=True, slots=True)
class Held:
    """The amounts are held in every account, until settled, voided or expired."""

    decision: str
    accounts: tuple[Account, ...]


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

    @property
    def sentence(self) -> str:
        """What to tell the agent and its owner."""
        show = self._show
        room = max(0, self.cap - self.used - self.held)
        words = f"budget {self.budget_id} allows {show(self.cap)} per {self.period}: "
        words += f"{show(self.used)} used"
        if self.held:
            words += f", {show(self.held)} held by calls in flight"
        return f"{words}, {show(room)} left; this needs {show(self.asked)}"

    @property
    def remedy(self) -> str:
        """What would let the action through."""
        reset = f"wait until {utc_text(self.resets_at)} or " if self.resets_at else ""
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
        return f"{amount:,} risk point{'' if amount == 1 else 's'}"
    unit = measure.replace("_", " ")
    return f"{amount:,} {unit.removesuffix('s') if amount == 1 else unit}"
