"""What happens as a budget is used up: levels, and what is reached at one. No clock, no storage.

A level is a percentage of the cap with its top-ups; what is posted and what is held count.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from watchkeeper.wire.budgets import Response as Does

FULL = 100
SMALLEST_OUTPUT = 16
"""The fewest output tokens that a call is lowered to; below that it is refused."""


@dataclass(frozen=True, slots=True)
class Throttle:
    """So many calls in so many seconds, `burst` of them at once."""

    calls: int
    seconds: int
    burst: int | None
    words: str
    """E.g. ``6 calls a minute``."""


@dataclass(frozen=True, slots=True)
class Response:
    """What happens from one level on, as a budget's document says."""

    at: int
    do: Does
    model: str | None = None
    """For `degrade`: the logical model that answers."""
    throttle: Throttle | None = None
    role: str | None = None
    """For `ask`, as are the three below: who is asked; None: as the agent's contract says."""
    escalation: str | None = None
    sla_seconds: int | None = None
    top_up_percent: int = 20

    @property
    def words(self) -> str:
        """Say it: `from 80 % small-fast answers`."""
        start = f"from {self.at} % " if self.at < FULL else ""
        match self.do:
            case "degrade":
                return f"{start}{self.model} answers model calls"
            case "throttle":
                rate = self.throttle.words if self.throttle else "a rate"
                return f"{start}calls pass at {rate} at most"
            case "ask":
                whom = self.role or "whom the contract asks"
                return f"without room {whom} is asked to top it up by {self.top_up_percent} %"
            case "pause":
                what = f"{start}who" if start else "without room who"
                return f"{what} spends it is paused until a person resumes"
            case "stop":
                return "without room calls are refused"


STOP = Response(FULL, "stop")


def is_reached(level: int, *, used: int, limit: int) -> bool:
    """Tell whether a level of a limit is reached; nothing left of nothing is full."""
    return used * FULL >= limit * level


def reached(responses: Iterable[Response], does: Does, *, used: int, limit: int) -> Response | None:
    """Return the highest response of one kind whose level is reached, or None."""
    found = [
        one for one in responses if one.do == does and is_reached(one.at, used=used, limit=limit)
    ]
    return max(found, key=lambda one: one.at, default=None)


def when_full(responses: Iterable[Response]) -> Response:
    """Return what happens to a call without room: people are asked before it is refused."""
    for does in ("ask", "pause"):
        for one in responses:
            if one.do == does:
                return one
    return STOP


def before_full(responses: Sequence[Response]) -> bool:
    """Tell whether calls are led or slowed before a budget is used up, so that it is looked at."""
    return any(one.do in ("degrade", "throttle") for one in responses)


def crossed(levels: Iterable[int], *, used: int, limit: int) -> tuple[int, ...]:
    """Return the levels that are reached, in rising order."""
    return tuple(sorted({one for one in levels if is_reached(one, used=used, limit=limit)}))


def top_up_of(limit: int, percent: int, *, short: int) -> int:
    """Return how much is asked for: a share of the limit, and what a call is short of at least."""
    return max(-(-limit * percent // FULL), short, 1)
