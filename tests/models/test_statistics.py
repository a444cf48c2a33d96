"""Live figures: what counts in five minutes, what is down, and that memory stays bounded."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.models.statistics import DOWN_AFTER, MINUTES, PROBE_SECONDS, Statistics

START = 1_700_000_040 * MICROSECONDS
MINUTE = 60 * MICROSECONDS


def answered(
    kept: Statistics, ms: float, at: int = START, model: str = "m", first: float | None = None
) -> None:
    kept.begin("acme", model, at)
    kept.well("acme", model, at, latency_ms=ms, first_token_ms=first)


def fail(kept: Statistics, at: int = START, why: str = "it answered HTTP 500") -> object:
    kept.begin("acme", "m", at)
    return kept.failed("acme", "m", at, why)


def test_nothing_is_known_of_what_was_never_called() -> None:
    kept = Statistics()
    assert kept.figures("acme", None, START).calls == 0
    assert kept.health("acme").state == "unknown"
    standing = kept.standing("acme", "m", START)
    assert not standing.down
    assert standing.latency_p95 is None


def test_a_provider_adds_up_its_models() -> None:
    kept = Statistics()
    answered(kept, 10, model="m")
    answered(kept, 10, model="n")
    kept.begin("acme", "n", START)
    kept.fell_back("acme", "n", START)
    kept.begin("acme", "n", START, again=True)
    whole, one = kept.figures("acme", None, START), kept.figures("acme", "n", START)
    assert (whole.calls, whole.retries, whole.fallbacks, whole.in_flight) == (3, 1, 1, 2)
    assert (one.calls, one.retries, one.fallbacks, one.in_flight) == (2, 1, 1, 2)


def test_what_is_older_than_five_minutes_counts_no_more() -> None:
    kept = Statistics()
    answered(kept, 10)
    fail(kept, START + MINUTE)
    assert kept.figures("acme", "m", START + (MINUTES - 1) * MINUTE).calls == 2
    later = kept.figures("acme", "m", START + MINUTES * MINUTE)
    assert (later.calls, later.errors, later.latency_p50) == (1, 1, None)
    assert kept.figures("acme", "m", START + 60 * MINUTE).errors == 0


@given(st.lists(st.floats(1, 10_000_000), min_size=1, max_size=300))
def test_a_percentile_is_at_most_a_tenth_above_what_was_measured(times: list[float]) -> None:
    kept = Statistics()
    for ms in times:
        answered(kept, ms, first=ms)
    figures = kept.figures("acme", "m", START)
    ranked = sorted(times)
    for percent, found in ((50, figures.latency_p50), (95, figures.first_token_p95)):
        measured = ranked[-(-len(ranked) * percent // 100) - 1]
        assert found is not None
        assert measured - 1 <= found <= measured * 1.1 + 1


def test_a_provider_is_down_after_failures_in_a_row_and_up_after_one_answer() -> None:
    kept = Statistics()
    assert fail(kept) is None
    answered(kept, 10)
    assert fail(kept) is None, "not in a row"
    down = [fail(kept) for _ in range(DOWN_AFTER)]
    assert [one is not None for one in down] == [True] + [False] * (DOWN_AFTER - 1)
    assert kept.health("acme").state == "down"
    assert kept.health("acme").detail == "it answered HTTP 500"
    assert kept.standing("acme", "m", START).down
    assert kept.standing("acme", "another of it", START).down
    answered(kept, 10)
    assert kept.health("acme").state == "up"
    assert not kept.standing("acme", "m", START).down


def test_one_call_at_a_time_finds_out_whether_a_provider_is_up_again() -> None:
    kept = Statistics()
    for _ in range(DOWN_AFTER):
        fail(kept)
    later = START + PROBE_SECONDS * MICROSECONDS
    assert kept.standing("acme", "m", later - 1).down
    assert not kept.standing("acme", "m", later).down
    kept.begin("acme", "m", later)
    assert kept.standing("acme", "m", later).down, "another is on its way to find out"
    kept.failed("acme", "m", later, "still")
    assert kept.standing("acme", "m", later + 1).down
    assert not kept.standing("acme", "m", later + PROBE_SECONDS * MICROSECONDS).down


def test_a_provider_that_limits_the_rate_is_spared_but_not_down() -> None:
    kept = Statistics()
    for _ in range(3):
        kept.begin("acme", "m", START)
        kept.limited("acme", "m", START, 5)
    assert kept.health("acme").state == "unknown"
    assert kept.standing("acme", "m", START + 4 * MICROSECONDS).down
    assert not kept.standing("acme", "m", START + 5 * MICROSECONDS).down
    kept.begin("acme", "m", START)
    kept.limited("acme", "m", START, 1e9)
    assert not kept.standing("acme", "m", START + 60 * MICROSECONDS).down


def test_a_caller_that_leaves_says_nothing_of_the_provider() -> None:
    kept = Statistics()
    for _ in range(9):
        kept.begin("acme", "m", START)
        kept.dropped("acme", "m")
    figures = kept.figures("acme", "m", START)
    assert (figures.calls, figures.errors, figures.in_flight) == (9, 0, 0)
    assert kept.health("acme").state == "unknown"


def test_what_a_provider_said_is_made_safe() -> None:
    kept = Statistics()
    for _ in range(DOWN_AFTER):
        fail(kept, why="no \x1b[31mway\x1b[0m" + "x" * 1000)
    detail = kept.health("acme").detail
    assert "\x1b" not in detail
    assert len(detail) <= 301


def test_memory_is_bounded_by_the_providers_in_force() -> None:
    kept = Statistics()
    for minute in range(50):
        for n in range(2000):
            answered(kept, 1.07 ** (n % 240), START + minute * MINUTE)
    window = kept._windows["acme", "m"]
    assert len(window.minutes) == MINUTES
    assert sum(sys.getsizeof(one.latency) for one in window.minutes) < 100_000
    kept.keep(())
    assert not kept._windows
    assert not kept._seen


@pytest.mark.parametrize("ms", [0, -5, 1e300])
def test_times_that_cannot_be_are_counted_at_the_ends(ms: float) -> None:
    kept = Statistics()
    answered(kept, ms)
    found = kept.figures("acme", "m", START).latency_p50
    assert found is not None
    assert 1 <= found <= 16_000_000
