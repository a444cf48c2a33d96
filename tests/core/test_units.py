"""Clock, ids, money, errors, resources."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core import ids, money
from watchkeeper.core.clock import Clock, RehearsalClock, SystemClock, utc_text
from watchkeeper.core.errors import BudgetExceeded, Invalid, NotFound
from watchkeeper.core.resources import resource_dir

TIMES = st.integers(0, 253_402_300_799 * 10**6)


@given(st.lists(TIMES, min_size=2, max_size=20))
def test_ids_sort_by_their_time(times: list[int]) -> None:
    made = [(at, ids.new_at("run", at)) for at in times]
    by_id = sorted(made, key=lambda pair: pair[1])
    assert [at for at, _ in by_id] == sorted(times)


def test_ids_of_one_moment_keep_their_order_and_differ() -> None:
    clock = RehearsalClock(frozen=True)
    made = [ids.new("dec", clock) for _ in range(2000)]
    assert made == sorted(set(made))
    assert all(re.fullmatch(r"dec_[0-7][0-9a-hjkmnp-tv-z]{25}", one) for one in made)


def test_secrets_are_long_and_stored_by_hash() -> None:
    made = {ids.secret("wkr") for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"wkr_[A-Za-z0-9_-]{43}", one) for one in made)
    one = made.pop()
    assert re.fullmatch(r"[0-9a-f]{64}", ids.hash_secret(one))
    assert ids.hash_secret(one) != ids.hash_secret(one + "x")


@given(st.integers(-(10**15), 10**15))
def test_money_is_read_back_as_written(micros: int) -> None:
    assert money.micros_from_text(money.dollars(micros)) == micros


@pytest.mark.parametrize(
    ("text", "micros"),
    [("0.75", 750_000), ("$1,200", 1_200_000_000), (" -3 ", -3_000_000), ("0.000001", 1)],
)
def test_amounts_are_read(text: str, micros: int) -> None:
    assert money.micros_from_text(text) == micros


@pytest.mark.parametrize(
    "text",
    [
        "",
        "$",
        "ten",
        "NaN",
        "inf",
        "1e999999999",
        "0.0000001",
        "1_0",
        "٣",
        "9" * 50,
        "$$1",
        "1,00",
        "1e3",
        "-",
        ".",
        "1." + "0" * 30 + "1",
        "1000000000.01",
    ],
)
def test_odd_amounts_are_refused(text: str) -> None:
    with pytest.raises(Invalid):
        money.micros_from_text(text)


@given(st.floats(0, 10**8))
def test_a_float_is_never_taken_for_less(value: float) -> None:
    micros = money.micros_from_number(value)
    assert 0 <= micros - Fraction(repr(value)) * 10**6 < 1


@pytest.mark.parametrize("value", [True, None, [], float("nan"), float("inf"), 10**20, 1e300])
def test_numbers_that_are_no_amount_are_refused(value: Any) -> None:
    with pytest.raises(Invalid):
        money.micros_from_number(value)


def test_dollars_show_what_there_is() -> None:
    shown = [money.dollars(m) for m in (0, 750_000, 1, -2_500_000, 1_234_567_890_000)]
    assert shown == ["$0.00", "$0.75", "$0.000001", "-$2.50", "$1,234,567.89"]


def test_times_are_written_in_utc() -> None:
    assert utc_text(1_795_201_471_999_999) == "2026-11-20T19:04:31Z"


def test_rehearsal_clock_moves_forward_only() -> None:
    clock = RehearsalClock(frozen=True, start=5_000_000)
    assert isinstance(clock, Clock)
    assert (clock.now(), clock.advance(1.5), clock.now()) == (5_000_000, 6_500_000, 6_500_000)
    for step in (-1, float("nan"), 10**12):
        with pytest.raises(Invalid):
            clock.advance(step)
    assert clock.now() == 6_500_000
    with pytest.raises(Invalid):
        RehearsalClock(-1)


def test_rehearsal_clock_runs_ahead_of_the_wall_and_tells_listeners() -> None:
    clock, told = RehearsalClock(offset=60_000_000), list[int]()
    end = clock.on_advance(told.append)
    before = SystemClock().now()
    assert clock.now() >= before + 60_000_000
    moved = clock.advance(3600)
    assert moved >= before + 3_660_000_000
    end()
    clock.advance(1)
    assert told == [moved]


def test_errors_say_what_where_and_what_to_do() -> None:
    error = BudgetExceeded("no room for $5.00", where="agent/x", rule="budget/day", remedy="top up")
    assert (error.status, error.code) == (402, "budget_exceeded")
    assert str(error) == "agent/x: no room for $5.00 (rule budget/day) - top up"


def test_missing_resources_are_named() -> None:
    assert (resource_dir("themes")).is_dir()
    with pytest.raises(NotFound, match="nonsense"):
        resource_dir("nonsense")
