"""Failures and budgets used up too fast."""

from __future__ import annotations

from typing import cast

import pytest

from watchkeeper.breakers import burns, storms
from watchkeeper.breakers.model import Budget, Result
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.registry.spending import BurnDetector, StormDetector

DAY = Budget("daily", "spend", 1_000_000, "day", 86_400)
_MINUTE = 60 * MICROSECONDS
START = 1_795_000_000 * MICROSECONDS


def storm(*results: str, share: float = 0.5, calls: int = 20) -> int | None:
    """Return with which result it is a storm."""
    state, look = storms.Storms(), StormDetector(share=share, calls=calls)
    for n, result in enumerate(results, 1):
        state, found = storms.step(state, cast("Result", result), look)
        assert len(state.ended) <= calls
        if found:
            return n
    return None


def test_half_of_the_newest_twenty_is_a_storm() -> None:
    assert storm(*["failed"] * 30) == 10
    assert storm(*["succeeded"] * 100, *["failed"] * 30) == 110
    assert storm(*["succeeded", "failed"] * 50) == 20


def test_fewer_are_none() -> None:
    assert storm(*["succeeded", "succeeded", "failed"] * 100) is None
    assert storm(*["unknown"] * 100) is None


@pytest.mark.parametrize("share", [0.01, 1.0])
def test_the_share_counts_of_all(share: float) -> None:
    assert storm(*["failed"] * 30, share=share) == (1 if share < 1 else 20)


def burn(
    *steps: tuple[float, int], look: BurnDetector | None = None, budget: Budget = DAY
) -> tuple[int, burns.Found] | None:
    """Return with which step (minutes to pass, then micro-dollars) a budget burns, and how."""
    state, at = burns.Burns(), START
    for n, (minutes, spent) in enumerate(steps, 1):
        at += round(minutes * _MINUTE)
        state, found = burns.step(state, at, {"spend": spent}, look or BurnDetector(), [budget])
        assert len(state.long.parts) <= 15
        if found:
            return n, found
    return None


def test_a_tenth_of_a_day_within_half_an_hour_burns() -> None:
    assert burn(*[(3, 10_000)] * 9) is None
    found = burn(*[(3, 11_500)] * 9)
    assert found is not None
    n, how = found
    assert (n, how.budget, round(how.share, 3)) == (9, "daily", 0.103)
    assert how.long > 4.8
    assert how.short > 4.8


def test_what_is_over_burns_no_more() -> None:
    assert burn((0, 99_000), (20, 2_000)) is None, "the short window is quiet again"


def test_spending_evenly_never_burns() -> None:
    assert burn(*[(14.4, 10_000)] * 300) is None


def test_a_budget_of_another_measure_is_left_alone() -> None:
    tokens = Budget("tokens", "tokens", 1, "day", 86_400)
    assert burn(*[(1, 10**9)] * 30, budget=tokens) is None
