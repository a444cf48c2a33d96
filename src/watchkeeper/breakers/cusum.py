"""A sudden rise against what was usual: CUSUM on logarithms, with a baseline that is robust.

A reading is the logarithm of a positive figure, such as what a call cost. The first readings of a
version are its baseline: their median, and their spread as 1.4826 times the median absolute
deviation. Each later reading counts by how far it lies above the median in units of the spread,
less half the way to the rise that is looked for; the sum of that, never below zero, alarms. A
single reading counts for little more than that half, so that no outlier alarms alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

import msgspec

_SMALLEST_SPREAD = 0.25
"""What costs always the same would alarm at any change else."""
_MOST_OF_ONE = 1.5
"""What one reading adds at most."""
_NORMAL = 1.4826
"""Makes a median absolute deviation a standard deviation, where readings are normal."""


class Usual(msgspec.Struct, frozen=True, array_like=True):
    """What readings were before: of their logarithms."""

    centre: float
    spread: float


class Rise(msgspec.Struct, frozen=True, array_like=True):
    """How far readings have risen of late. Starts from nothing."""

    sum: float = 0.0
    readings: int = 0
    """Since the sum was zero."""
    total: float = 0.0
    """Of these readings' logarithms."""

    @property
    def level(self) -> float:
        """The geometric mean of the readings that made the sum."""
        return math.exp(self.total / self.readings) if self.readings else 0.0


NO_RISE = Rise()


def learn(readings: Sequence[float]) -> Usual:
    """Return what is usual of a baseline's logarithms."""
    centre = median(readings)
    deviation = median(abs(one - centre) for one in readings)
    return Usual(centre, max(_NORMAL * deviation, _SMALLEST_SPREAD))


def add(rise: Rise, usual: Usual, reading: float, factor: float) -> Rise:
    """Count one logarithm in; `factor` is the rise that is looked for."""
    half = math.log(factor) / 2 / usual.spread
    above = min((reading - usual.centre) / usual.spread, half + _MOST_OF_ONE)
    summed = rise.sum + above - half
    if summed <= 0:
        return NO_RISE
    return Rise(summed, rise.readings + 1, rise.total + reading)
