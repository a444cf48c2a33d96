"""Sudden rises on golden traces: found within 15 calls, one false alarm in 10,000 at most."""

from __future__ import annotations

import pytest

from tests.breakers.running import CostRun, RateRun, delay, p95
from tests.breakers.shapes import COSTS, RATES, read, record
from watchkeeper.breakers import costs, pace
from watchkeeper.core.clock import MICROSECONDS

MOST_CALLS = 15
SCATTERED = dict.fromkeys(("rate-1.3", "rate-at-once-5"), 20)
"""Shapes of whose calls one says less: of calls at once two count, the others are no news."""


@pytest.mark.parametrize("name", COSTS)
def test_a_jump_of_cost_is_found_soon_and_nothing_else_is(name: str) -> None:
    trace = read(name)
    run = CostRun(trace.baseline)
    assert sum(run.alarmed(one) for one in trace.quiet) <= 1
    assert p95(delay(CostRun, jump) for jump in trace.jumps) <= MOST_CALLS


@pytest.mark.parametrize("name", RATES)
def test_a_jump_of_the_rate_is_found_soon_and_nothing_else_is(name: str) -> None:
    trace = read(name)
    run = RateRun(trace.baseline)
    assert sum(run.alarmed(one) for one in trace.quiet) == 0
    assert p95(delay(RateRun, jump) for jump in trace.jumps) <= SCATTERED.get(name, MOST_CALLS)


@pytest.mark.parametrize("name", ["cost-0.25", "rate-turns"])
def test_the_traces_are_what_the_script_draws(name: str) -> None:
    assert read(name) == record(name, {**COSTS, **RATES}[name])


def test_a_call_that_cost_nothing_is_passed_over() -> None:
    state = costs.Costs()
    for _ in range(100):
        state = costs.step(state, 0, factor=10, baseline_calls=30)
    assert state == costs.Costs()


def test_one_outlier_alarms_nothing() -> None:
    run = CostRun([3_000] * 100)
    assert not run.alarmed(3_000_000_000)


def test_the_baseline_is_frozen_once_it_is_learned() -> None:
    run = CostRun([3_000] * 100)
    before = run.state.usual
    for n in range(1, 300):
        run.alarmed(3_000 * (1 + n / 100))
    assert run.state.usual == before
    slow = RateRun([20.0] * 100)
    usual = slow.state.usual
    for _ in range(100):
        slow.alarmed(1.0)
    assert slow.state.usual == usual


def test_a_price_is_high_from_half_way_to_the_jump_on() -> None:
    run = CostRun([3_000] * 100)
    assert not costs.is_high(run.state, 9_000, factor=10)
    assert costs.is_high(run.state, 10_000, factor=10)
    assert not costs.is_high(run.state, 0, factor=10)


def test_a_flood_within_a_moment_is_found() -> None:
    run = RateRun([20.0] * 100)
    at = run.at
    while not run.alarmed(0.001):
        assert run.at - at < 5 * MICROSECONDS, "a thousand calls a second are a jump"


def test_the_morning_after_a_quiet_night_is_no_jump() -> None:
    run = RateRun([20.0] * 100)
    for _ in range(30):
        assert not run.alarmed(8 * 3600.0)
        assert not any(run.alarmed(20.0) for _ in range(50))


def test_calls_that_were_all_at_once_learn_nothing_yet() -> None:
    state = pace.Pace()
    for _ in range(200):
        state = pace.step(state, 7, factor=10, baseline_calls=30)
    assert not pace.has_risen(state)
