"""Levels of a budget, what is asked for, and what a refusal says; no store."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.budgets.ground import cap
from tests.rig.moments import moment
from watchkeeper.budgets.filling import Level
from watchkeeper.budgets.model import Account
from watchkeeper.budgets.periods import HOUR_US
from watchkeeper.budgets.responses import (
    STOP,
    Response,
    Throttle,
    crossed,
    is_reached,
    reached,
    top_up_of,
    when_full,
)
from watchkeeper.budgets.rules import likely_rate
from watchkeeper.budgets.terms import terms_of
from watchkeeper.decide.gates.lowering import largest

NOW = moment("2026-11-20T10:30:00Z")
MIDNIGHT = moment("2026-11-20T23:00:00Z")
"""In Berlin."""


def level(measure: Any, amount: int, *, soft: bool = False, **used: int) -> Level:
    one = cap("team/ops", "day", measure, amount, zone="Europe/Berlin", soft=soft)
    return Level(one, Account("team/ops", "day", "2026-11-20@Europe/Berlin"), **used)


@pytest.mark.parametrize(
    ("measure", "amount", "posted", "held", "asked", "says"),
    [
        ("spend", 10_000_000, 9_000_000, 980_000, 50_000,
         "$10.00 per day (Europe/Berlin): $9.00 used, $0.98 held by calls in flight, $0.02 left; "
         "this needs $0.05"),
        ("value", 200_000_000, 200_000_000, 0, 1_000_000,
         "$200.00 per day (Europe/Berlin): $200.00 used, $0.00 left; this needs $1.00"),
        ("tool_calls", 1, 1, 0, 1,
         "1 tool call per day (Europe/Berlin): 1 tool call used, 0 tool calls left; this needs 1 "
         "tool call"),
        ("input_tokens", 900, 0, 850, 60,
         "900 input tokens per day (Europe/Berlin): 0 input tokens used, 850 input tokens held by "
         "calls in flight, 50 input tokens left; this needs 60 input tokens"),
        ("output_tokens", 1, 0, 0, 2,
         "1 output token per day (Europe/Berlin): 0 output tokens used, 1 output token left; this "
         "needs 2 output tokens"),
        ("tokens", 1000, 1000, 0, 1,
         "1,000 tokens per day (Europe/Berlin): 1,000 tokens used, 0 tokens left; this needs 1 "
         "token"),
        ("retries", 3, 3, 0, 1,
         "3 retries per day (Europe/Berlin): 3 retries used, 0 retries left; this needs 1 retry"),
        ("wall_time", 60_000_000, 30_000_000, 0, 45_000_000,
         "60 s per day (Europe/Berlin): 30 s used, 30 s left; this needs 45 s"),
        ("objects", 2, 2, 0, 1,
         "2 objects per day (Europe/Berlin): 2 objects used, 0 objects left; this needs 1 object"),
        ("messages", 2, 1, 1, 1,
         "2 messages per day (Europe/Berlin): 1 message used, 1 message held by calls in flight, "
         "0 messages left; this needs 1 message"),
        ("risk", 30, 25, 0, 10,
         "30 risk points per day (Europe/Berlin): 25 risk points used, 5 risk points left; this "
         "needs 10 risk points"),
    ],
)  # fmt: skip
def test_a_refusal_names_budget_period_use_and_unit(
    measure: Any, amount: int, posted: int, held: int, asked: int, says: str
) -> None:
    refused = level(measure, amount, posted=posted, held=held).refusal(asked, NOW)
    name = f"team/ops/day/{measure}"
    assert refused.sentence == f"budget {name} allows {says}"
    assert refused.resets_at == MIDNIGHT
    assert refused.remedy == (
        f"wait until it resets at 2026-11-20T23:00:00Z, or have a person top up {name}"
    )


def test_of_one_call_and_one_run_it_says_what_would_help() -> None:
    per_call = cap("agent/bot", "invocation", "spend", 500)
    refused = Level(per_call, Account("agent/bot", "invocation", "")).refusal(900, NOW)
    assert (refused.resets_at, refused.remedy) == (None, "ask for less in one call")
    per_run = cap("run/*", "run", "spend", 500)
    refused = Level(per_run, Account("run/run_1", "run", "run_1")).refusal(900, NOW)
    assert refused.budget_id == "run/run_1/spend"
    assert refused.remedy == "have a person top up run/run_1/spend"


@pytest.mark.parametrize(
    ("response", "says"),
    [
        (Response(80, "degrade", "small"), "from 80 % small answers model calls"),
        (
            Response(90, "throttle", throttle=Throttle(6, 60, None, "6 calls a minute")),
            "from 90 % calls pass at 6 calls a minute at most",
        ),
        (Response(100, "ask", role="cfo"), "without room cfo is asked to top it up by 20 %"),
        (Response(100, "pause"), "without room who spends it is paused until a person resumes"),
        (Response(70, "pause"), "from 70 % who spends it is paused until a person resumes"),
        (STOP, "without room calls are refused"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_response_says_what_it_does(response: Response, says: str) -> None:
    assert response.words == says


def test_asking_comes_before_pausing_and_stopping() -> None:
    ask, pause = Response(100, "ask"), Response(100, "pause")
    assert when_full([STOP, pause, ask]) is ask
    assert when_full([STOP, pause]) is pause
    assert when_full([]) == STOP


@given(st.integers(1, 100), st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_level_is_reached_exactly_from_its_share_on(at: int, used: int, limit: int) -> None:
    assert is_reached(at, used=used, limit=limit) is (used >= limit * at / 100)


@given(st.lists(st.integers(1, 100), max_size=8), st.integers(0, 200), st.integers(1, 100))
def test_levels_crossed_are_those_reached(levels: list[int], used: int, limit: int) -> None:
    found = crossed(levels, used=used, limit=limit)
    assert set(found) == {one for one in levels if used * 100 >= one * limit}
    responses = [Response(one, "degrade", f"m{one}") for one in levels]
    best = reached(responses, "degrade", used=used, limit=limit)
    assert (best.at if best else None) == max(found, default=None)


@given(st.integers(0, 10**9), st.integers(1, 1000), st.integers(0, 10**9))
def test_what_is_asked_for_is_enough_for_the_call(limit: int, percent: int, short: int) -> None:
    amount = top_up_of(limit, percent, short=short)
    assert amount >= max(1, short)
    assert amount >= limit * percent / 100


def test_terms_say_when_it_would_be_full_again() -> None:
    refused = level("spend", 10_000_000, posted=9_990_000).refusal(20_000, NOW)
    terms = terms_of(refused, Response(100, "ask"), per_hour=1_000_000, agent="bot", now=NOW)
    assert (terms.amount, terms.limit) == (2_000_000, 10_000_000)
    assert terms.full_again_at == NOW + 2_010_000 * HOUR_US // 1_000_000
    assert terms.words() == (
        "top up team/ops/day/spend by $2.00 to $12.00: $9.99 of $10.00 used; the next call needs "
        "$0.02; at $1.00 an hour it is full again at 2026-11-20T12:30:36Z"
    )
    slow = terms_of(refused, Response(100, "ask"), per_hour=10, agent="bot", now=NOW)
    assert slow.full_again_at is None
    assert slow.words().endswith("that lasts until it resets at 2026-11-20T23:00:00Z")
    assert slow.digest != terms.digest


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_the_longest_answer_that_fits_is_found(room: int, most: int) -> None:
    found = largest(lambda tokens: tokens <= room, most)
    wanted = min(room, most - 1)
    assert found == (wanted if wanted >= 16 else None)


@pytest.mark.parametrize(
    ("hour", "day", "hours", "rate"),
    [(100, 100, 0.1, 100), (100, 100, 10, 55), (0, 240, 24, 5), (0, 0, 5, 0), (600, 600, 24, 312)],
)
def test_the_likely_rate_is_the_mean_of_two_windows(
    hour: int, day: int, hours: float, rate: int
) -> None:
    assert likely_rate(hour=hour, day=day, elapsed=int(hours * HOUR_US)) == rate


def test_a_soft_cap_has_room_while_anything_is_left() -> None:
    assert level("spend", 100, soft=True, posted=99).has_room(10_000)
    assert not level("spend", 100, soft=True, posted=100).has_room(1)
    assert level("spend", 100, soft=True, posted=100).has_room(0)
    assert not level("spend", 100, posted=99).has_room(2)
