"""Shares of a whole that add up to it."""

from __future__ import annotations

from collections.abc import Sequence

WHOLE = 10_000
"""A hundred percent, in hundredths of a percent."""


def shares(parts: Sequence[int]) -> list[float]:
    """Return each part's percentage with two decimals; together they are exactly 100, or 0 of 0.

    What rounding down leaves goes to the largest remainders, the first of equal ones (Hamilton's
    method of apportionment). Parts are not negative.
    """
    whole = sum(parts)
    if whole <= 0:
        return [0.0] * len(parts)
    points = [part * WHOLE // whole for part in parts]
    left = WHOLE - sum(points)
    by_remainder = sorted(range(len(parts)), key=lambda one: -(parts[one] * WHOLE % whole))
    for place in by_remainder[:left]:
        points[place] += 1
    return [one / 100 for one in points]
