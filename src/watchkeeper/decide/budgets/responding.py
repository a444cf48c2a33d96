"""What budgets' documents say of their levels, compiled for deciding."""

from __future__ import annotations

from dataclasses import dataclass

from watchkeeper.budgets.responses import FULL, Response, Throttle, before_full
from watchkeeper.registry.parts import RateLimit
from watchkeeper.registry.spending import Budget


@dataclass(frozen=True, slots=True)
class Responding:
    """What one document says happens as its budgets are used up."""

    warn_at: tuple[int, ...]
    """In rising order."""
    responses: tuple[Response, ...]
    early: bool
    """Whether calls are led or slowed before it is full, so that it is looked at before each."""
    lowest: int
    """The lowest level at which anything is noted: a warning, or a pause."""


def compile_responses(budget: Budget) -> Responding:
    """Compile a document."""
    responses = tuple(
        Response(
            one.at,
            one.do,
            one.model,
            _throttle(one.rate) if one.rate else None,
            one.role,
            one.escalation,
            one.sla_seconds,
            one.top_up_percent,
        )
        for one in budget.responses
    )
    # at 100 it is the first call without room that pauses
    pauses = [one.at for one in responses if one.do == "pause" and one.at < FULL]
    return Responding(
        tuple(sorted(set(budget.warn_at))),
        responses,
        before_full(responses),
        min((*budget.warn_at, *pauses), default=1000),
    )


def _throttle(rate: RateLimit) -> Throttle:
    return Throttle(rate.calls, rate.seconds, rate.burst, rate.words)
