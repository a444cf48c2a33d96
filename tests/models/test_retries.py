"""The retry budget: a share of the calls of the last minute, never a storm."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.models.retries import RetryBudget, backoff_seconds

START = 1_700_000_000 * MICROSECONDS


def test_one_retry_a_minute_is_always_there_unless_none_is_wanted() -> None:
    budget = RetryBudget()
    budget.note_call(START)
    assert not budget.take(START, 0)
    assert budget.take(START, 20)
    assert not budget.take(START + 50 * MICROSECONDS, 20)
    assert budget.take(START + 60 * MICROSECONDS, 20)


def test_retries_follow_the_calls() -> None:
    budget = RetryBudget()
    for _ in range(100):
        budget.note_call(START)
    assert sum(budget.take(START, 20) for _ in range(100)) == 20


@given(
    st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=200),
    st.integers(1, 100),
)
def test_a_minute_never_sees_more_than_its_share(
    steps: list[tuple[int, bool]], percent: int
) -> None:
    budget, now = RetryBudget(), START
    calls: list[int] = []
    taken: list[int] = []
    for seconds, called in steps:
        now += seconds * MICROSECONDS
        if called:
            budget.note_call(now)
            calls.append(now)
        if budget.take(now, percent):
            taken.append(now)
            since = now - 50 * MICROSECONDS
            lately = sum(at > since - 20 * MICROSECONDS for at in calls)
            assert sum(at > since for at in taken) <= max(1, lately * percent // 100)


def test_a_backoff_doubles_and_is_spread() -> None:
    assert backoff_seconds(2, 0.25, 0.0) == 0.125
    assert backoff_seconds(2, 0.25, 1.0) == 0.25
    assert backoff_seconds(4, 0.25, 1.0) == 1.0
