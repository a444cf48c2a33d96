"""The generic cell rate algorithm (ITU-T I.371, annex A): a token bucket kept as one time.

The *theoretical arrival time* of a limit is when its bucket would be full again. Each call
moves it on by one interval; a call that would move it further ahead than the burst allows is
refused. In any time W at most ``burst + W / interval`` calls pass.
"""

from __future__ import annotations

from dataclasses import dataclass

from watchkeeper.core.clock import MICROSECONDS


@dataclass(frozen=True, slots=True)
class Limit:
    """One rate limit. Times in microseconds."""

    rule: str
    """Names it wherever it refuses, e.g. ``rate/tool/stripe.refund``."""
    about: str
    """What it is over, in words."""
    interval: int
    """Time that one call takes of it."""
    burst: int
    """How many calls may come at once."""
    words: str = ""
    """The limit in words, e.g. ``10 calls a minute``."""

    @property
    def span(self) -> int:
        """How far ahead of now the theoretical arrival time may be."""
        return self.interval * self.burst


def make_limit(
    rule: str, about: str, *, calls: int, seconds: int, burst: int | None, words: str = ""
) -> Limit:
    """Return a limit of so many calls in so many seconds; all at once unless `burst` says less.

    The interval is rounded up, so that never more passes than was asked for.
    """
    interval = -(-seconds * MICROSECONDS // calls)
    return Limit(rule, about, interval, burst or calls, words)


def spend(arrival: int | None, limit: Limit, now: int) -> tuple[int, int]:
    """Take one call of a limit: return its new theoretical arrival time and 0, or how long to wait.

    A call that must wait takes nothing. A time that lies further ahead than a full burst is
    drawn in to that: the limit was lowered, or the clock was set back. Neither lets more pass
    than an empty bucket would.
    """
    standing = min(max(arrival or now, now), now + limit.span)
    wait = standing + limit.interval - (now + limit.span)
    return (standing, wait) if wait > 0 else (standing + limit.interval, 0)


def give_back(arrival: int, limit: Limit) -> int:
    """Return the theoretical arrival time without one call that was taken and not made."""
    return arrival - limit.interval
