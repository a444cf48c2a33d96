from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.budgets.ground import CAPS, cap
from tests.rig.moments import moment
from watchkeeper.budgets.model import Account, budget_id
from watchkeeper.budgets.periods import period_key, resets_at, starts_at
from watchkeeper.budgets.rules import (
    accounts_of,
    budget_state,
    check_amounts,
    forecast,
    hourly_rate,
    overshoot,
    posted_amounts,
    read_budget_id,
)
from watchkeeper.core.errors import Invalid, NotFound

AT = moment("2026-12-31T23:59:59Z")
HOUR = 3600 * 1_000_000
TIMES = st.integers(0, moment("2200-01-01T00:00:00Z"))


def test_periods_are_named_and_end_in_utc() -> None:
    assert period_key("hour", AT, "r") == "2026-12-31T23"
    assert period_key("day", AT, "r") == "2026-12-31"
    assert period_key("month", AT, "r") == "2026-12"
    assert period_key("run", AT, "run_1") == "run_1"
    for period in ("hour", "day", "month"):
        assert resets_at(period, AT) == moment("2027-01-01T00:00:00Z")
    assert resets_at("run", AT) is None
    february = moment("2028-02-29T12:30:00Z")
    assert resets_at("month", february) == moment("2028-03-01T00:00:00Z")


@given(TIMES, st.sampled_from(["hour", "day", "month"]))
def test_a_period_has_one_key_from_its_start_to_its_end(at: int, period: str) -> None:
    start, end = starts_at(period, at), resets_at(period, at)  # type: ignore[arg-type]
    assert end is not None
    assert start <= at < end
    key = period_key(period, at, "")  # type: ignore[arg-type]
    assert period_key(period, start, "") == period_key(period, end - 1, "") == key  # type: ignore[arg-type]
    assert period_key(period, end, "") != key  # type: ignore[arg-type]


def test_budget_ids_are_read_as_they_are_written() -> None:
    for one in CAPS:
        name = budget_id(one.scope, one.period, one.measure)
        assert read_budget_id(name) == (one.scope, one.period, one.measure)
    for wrong in ("", "spend", "team/x/spend", "team/x/year/spend", "team/x/day/love", "run/spend"):
        with pytest.raises(NotFound):
            read_budget_id(wrong)


def test_caps_of_one_account_are_one_the_lowest_and_caps_per_run_lie_with_the_run() -> None:
    caps = [
        *CAPS,
        cap("team/ops", "day", "spend", 700),
        cap("team/ops", "run", "spend", 300),
        cap("all", "month", "output_tokens", 9),
    ]
    drawn = accounts_of(caps, check_amounts({"spend": 1}), run="run_1", at=AT)
    found = {one.account: one.limits for one in drawn}
    run, team = Account("run/run_1", "run", "run_1"), Account("team/ops", "day", "2026-12-31")
    assert list(found) == sorted(found)
    assert found[run]["spend"][0] == 300
    assert found[team]["spend"][0] == 700
    assert "tool_calls" not in found[run]  # none of it is asked
    assert "tokens" not in found[team]
    assert len(found) == 4


def test_amounts_are_checked_and_tokens_are_the_sum_of_both_kinds() -> None:
    assert check_amounts({"input_tokens": 3, "output_tokens": 4})["tokens"] == 7
    assert check_amounts({"input_tokens": 3, "tokens": 4})["tokens"] == 4
    for wrong in ({"spend": -1}, {"spend": 10**15 + 1}, {"love": 1}):
        with pytest.raises(Invalid):
            check_amounts(wrong)


def test_what_is_unknown_counts_as_reserved_or_more() -> None:
    reserved = check_amounts({"spend": 100, "tool_calls": 1})
    used = check_amounts({"spend": 30, "input_tokens": 5})
    assert posted_amounts(reserved, used, "failed", elapsed=9)["spend"] == 30
    assert posted_amounts(reserved, used, "failed", elapsed=9)["tool_calls"] == 1
    unknown = posted_amounts(reserved, used, "unknown", elapsed=9)
    assert (unknown["spend"], unknown["input_tokens"]) == (100, 5)
    assert overshoot(reserved, unknown) == {"input_tokens": 5, "tokens": 5}


def test_what_each_measure_counts_once_an_action_has_ended() -> None:
    began = {"tool_calls": 1, "messages": 1, "objects": 1, "risk": 30}
    reserved = check_amounts({**began, "value": 500, "wall_time": 100, "retries": 1})
    for status, value in (("succeeded", 500), ("failed", 0), ("unknown", 500)):
        posted = posted_amounts(reserved, check_amounts({"retries": 3}), status, elapsed=60)  # type: ignore[arg-type]
        assert {measure: posted[measure] for measure in began} == began  # type: ignore[index]
        assert (posted["value"], posted["retries"]) == (value, 3)
        assert posted["wall_time"] == (100 if status == "unknown" else 60)
    assert (
        posted_amounts(check_amounts({}), check_amounts({}), "failed", elapsed=60)["wall_time"] == 0
    )


def test_state_follows_use_and_the_last_refusal() -> None:
    def state(used: int, last_refused: int = 0) -> str:
        return budget_state(cap=100, used=used, last_refused=last_refused)

    assert [state(0), state(79), state(80), state(99), state(100), state(130)] == [
        "ok", "ok", "warning", "warning", "exhausted", "exhausted",
    ]  # fmt: skip
    assert [state(50, 51), state(50, 50), state(85, 10)] == ["exhausted", "ok", "warning"]
    assert budget_state(cap=0, used=0, last_refused=0) == "exhausted"


def test_rate_of_the_last_hour_and_when_it_uses_up_the_rest() -> None:
    bucket = 1000
    at = bucket * HOUR + HOUR // 4
    assert hourly_rate(recent=10, earlier=80, bucket=bucket, now=at) == 70
    assert hourly_rate(recent=10, earlier=80, bucket=bucket, now=at + HOUR) == 7
    assert hourly_rate(recent=10, earlier=80, bucket=bucket, now=at + 2 * HOUR) == 0
    assert forecast(left=30, rate=60, now=0, resets_at=HOUR) == HOUR // 2
    assert forecast(left=60, rate=60, now=0, resets_at=HOUR) is None
    assert forecast(left=60, rate=60, now=0, resets_at=None) == HOUR
    assert forecast(left=60, rate=0, now=0, resets_at=None) is None
