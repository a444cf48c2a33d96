"""How fast the calls of a version follow each other: a sudden rise of it.

The reading is how long the newest `_CALLS` calls took together, as a logarithm: over several
calls, so that the short and the long pauses of an ordinary turn even out. Of calls at once (so
close that a rise of ten times the one looked for would not bring them together) two count: an
agent that calls five tools in parallel has not begun to call fifty times as fast, and a flood
shows all the same. A pause, however long, only lowers the sum: a quiet night is no alarm, nor is
the morning after it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from watchkeeper.breakers.cusum import NO_RISE, Rise, Usual, add, learn
from watchkeeper.core.clock import MICROSECONDS

_CALLS = 6
_ALARM = 8.25
"""Neighbouring readings share calls, so it takes more of them."""
_MOST_AT_ONCE = 2
_AT_ONCE = 10
"""How many times the rise that is looked for calls at once are closer than usual."""
_LEFT_OUT = 20
"""The longest one of so many times between calls is no sign of what is usual: a night."""


class Pace(msgspec.Struct, frozen=True, omit_defaults=True):
    """The baseline of one version, being learned or frozen, and the rise since. Microseconds."""

    learned: tuple[int, ...] = ()
    """When the calls of the baseline were; empty once it is frozen."""
    usual: Usual | None = None
    """Of minus the logarithm of how long `_CALLS` calls take."""
    span: int = 0
    """Calls within it are at once."""
    began: int | None = None
    at_once: int = 0
    """How many calls came at once, the first at `began`."""
    newest: tuple[int, ...] = ()
    """When the newest calls that count were."""
    rise: Rise = NO_RISE

    @property
    def per_minute(self) -> float | None:
        """How many calls a minute are usual."""
        return _per_minute(math.exp(self.usual.centre)) if self.usual else None

    @property
    def risen_to(self) -> float:
        """How many calls a minute there were of late."""
        return _per_minute(self.rise.level)


def step(pace: Pace, at: int, *, factor: float, baseline_calls: int) -> Pace:
    """Count in a call at a time, which is no earlier than the one before."""
    if pace.usual is not None:
        counted = _count(pace, at)
        reading = _reading(counted.newest) if counted.newest is not pace.newest else None
        if reading is None:
            return counted
        return msgspec.structs.replace(counted, rise=add(pace.rise, pace.usual, reading, factor))
    learned = (*pace.learned, at)
    if len(learned) < baseline_calls:
        return Pace(learned)
    pace = Pace(span=_span(learned, factor))
    readings = []
    for one in learned:
        counted = _count(pace, one)
        reading = _reading(counted.newest) if counted.newest is not pace.newest else None
        if reading is not None:
            readings.append(reading)
        pace = counted
    if not readings:
        return Pace(learned[1:])
    return msgspec.structs.replace(pace, usual=learn(readings))


def has_risen(pace: Pace) -> bool:
    """Tell whether calls follow each other faster than they did."""
    return pace.rise.sum > _ALARM


def settle(pace: Pace) -> Pace:
    """Forget the rise and the calls at hand; the baseline stays as it is."""
    if pace.usual is None:
        return pace
    return Pace(usual=pace.usual, span=pace.span)


def _count(pace: Pace, at: int) -> Pace:
    """Count a call among the newest, unless it is one more of many at once."""
    began, at_once = at, 1
    if pace.began is not None and at < pace.began + pace.span:
        began, at_once = pace.began, pace.at_once + 1
    newest = pace.newest
    if at_once <= _MOST_AT_ONCE:
        newest = (*newest[-_CALLS:], at)
    return msgspec.structs.replace(pace, began=began, at_once=at_once, newest=newest)


def _reading(newest: Sequence[int]) -> float | None:
    if len(newest) <= _CALLS:
        return None
    return -math.log(max(1, newest[-1] - newest[0]))


def _span(learned: Sequence[int], factor: float) -> int:
    ordered = sorted(later - one for one, later in pairwise(learned))
    kept = ordered[: len(ordered) - len(ordered) // _LEFT_OUT] or [0]
    return round(sum(kept) / len(kept) / factor / _AT_ONCE)


def _per_minute(rate: float) -> float:
    return rate * _CALLS * 60 * MICROSECONDS
