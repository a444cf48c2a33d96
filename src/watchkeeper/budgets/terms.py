"""What a top-up asks for: exactly what approvers read and the digest covers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from watchkeeper.budgets.model import Refused, written
from watchkeeper.budgets.responses import Response, top_up_of
from watchkeeper.budgets.rules import forecast
from watchkeeper.core.clock import utc_text
from watchkeeper.core.digest import digest
from watchkeeper.wire.budgets import Measure, Period


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """So much more for one budget in one period. Amounts in the unit of the measure."""

    budget: str
    scope: str
    period: Period
    period_key: str
    measure: Measure
    limit: int
    """The cap with earlier top-ups, as it is now."""
    used: int
    held: int
    asked: int
    """What the call needs that found no room."""
    amount: int
    per_hour: int
    full_again_at: int | None
    """When it would be full again at that rate; None: not in this period."""
    resets_at: int | None
    agent: str

    def shown(self) -> dict[str, Any]:
        """Return them as approvers read them and the digest covers them."""
        return dict(sorted(asdict(self).items()))

    @property
    def digest(self) -> str:
        """The digest that votes are bound to."""
        return digest("watchkeeper/top-up/v1", self.shown())

    def words(self) -> str:
        """Say what is asked for, and what was used."""
        show = self._show
        held = f", {show(self.held)} held by calls in flight" if self.held else ""
        return (
            f"top up {self.budget} by {show(self.amount)} to {show(self.limit + self.amount)}: "
            f"{show(self.used)} of {show(self.limit)} used{held}; "
            f"the next call needs {show(self.asked)}; {self._forecast()}"
        )

    def _forecast(self) -> str:
        if not self.per_hour:
            return "nothing was spent in the last hour"
        rate = f"at {self._show(self.per_hour)} an hour"
        if self.full_again_at is not None:
            return f"{rate} it is full again at {utc_text(self.full_again_at)}"
        until = (
            f" until it resets at {utc_text(self.resets_at)}" if self.resets_at else " for a day"
        )
        return f"{rate} that lasts{until}"

    def _show(self, amount: int) -> str:
        return written(self.measure, amount)


def terms_of(refused: Refused, response: Response, *, per_hour: int, agent: str, now: int) -> Terms:
    """Return what is asked for where a call found no room: at least what it is short of."""
    in_use = refused.used + refused.held
    short = in_use + refused.asked - refused.cap
    amount = top_up_of(refused.cap, response.top_up_percent, short=short)
    return Terms(
        budget=refused.budget_id,
        scope=refused.scope,
        period=refused.period,
        period_key=refused.period_key,
        measure=refused.measure,
        limit=refused.cap,
        used=refused.used,
        held=refused.held,
        asked=refused.asked,
        amount=amount,
        per_hour=per_hour,
        full_again_at=forecast(
            left=refused.cap + amount - in_use,
            rate=per_hour,
            now=now,
            resets_at=refused.resets_at,
        ),
        resets_at=refused.resets_at,
        agent=agent,
    )
