"""A budget that one agent would use up long before its period ends.

The burn is which share of the cap the agent used within a window, over the share of the period
that the window is: 1 would use it up just at the end (Site Reliability Workbook, chapter 5). It
must be too fast over a long window, so that it is no single call, and over a short one, so that
it still goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from watchkeeper.breakers.model import Budget, Burn
from watchkeeper.core.clock import MICROSECONDS

_PARTS = 15
"""How finely a window moves on."""


class Window(msgspec.Struct, frozen=True, array_like=True):
    """What was used within the newest parts of a window: part number → measure → amount."""

    parts: tuple[tuple[int, Mapping[str, int]], ...] = ()


class Burns(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the agent used in both windows."""

    long: Window = Window()
    short: Window = Window()


class Found(msgspec.Struct, frozen=True):
    """The budget that burns fastest, and how fast in both windows."""

    budget: str
    long: float
    short: float
    share: float
    """Which share of the cap was used within the long window."""


def step(
    burns: Burns, at: int, used: Mapping[str, int], burn: Burn, budgets: Iterable[Budget]
) -> tuple[Burns, Found | None]:
    """Count in what a call used; say which budget it uses up too fast."""
    amounts = {measure: amount for measure, amount in used.items() if amount > 0}
    if not amounts:
        return burns, None
    long_seconds = burn.long_minutes * 60
    short_seconds = min(burn.short_minutes, burn.long_minutes) * 60
    now = Burns(_add(burns.long, at, amounts, long_seconds),
                _add(burns.short, at, amounts, short_seconds))  # fmt: skip
    worst: Found | None = None
    for budget in budgets:
        if budget.cap <= 0 or budget.measure not in amounts:
            continue
        share = _sum(now.long, budget.measure) / budget.cap
        long = share * budget.seconds / long_seconds
        short = _sum(now.short, budget.measure) / budget.cap * budget.seconds / short_seconds
        if min(long, short) > burn.times and (worst is None or long > worst.long):
            worst = Found(budget.name, long, short, share)
    return now, worst


def _add(window: Window, at: int, amounts: Mapping[str, int], seconds: int) -> Window:
    part = at * _PARTS // (seconds * MICROSECONDS)
    parts = [one for one in window.parts if one[0] > part - _PARTS]
    held = dict(parts.pop()[1]) if parts and parts[-1][0] == part else {}
    for measure, amount in amounts.items():
        held[measure] = held.get(measure, 0) + amount
    return Window((*parts, (part, held)))


def _sum(window: Window, measure: str) -> int:
    return sum(amounts.get(measure, 0) for _, amounts in window.parts)
