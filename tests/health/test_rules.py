"""How a run does follows from its signs and the time: no flapping, and every alarm ends."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.health.model import Answered, Excuse, Facts, Limits, Pending, Same
from watchkeeper.health.rules import LEAST_SAME, MOST_SAME, assess, best, limits_of
from watchkeeper.wire.health import AILING, Health

S = MICROSECONDS
START = 1_000_000 * S
LIMITS = Limits(working=20 * S, silent=300 * S, stuck=900 * S)
WORSE: dict[Health, int] = {"working": 0, "quiet": 0, "stuck": 1, "silent": 2, "lost": 3}

moments = st.integers(START, START + 4000 * S)


@st.composite
def some_facts(draw: st.DrawFn) -> Facts:
    """What a run may have done up to its last sign."""
    sign = draw(moments)
    before = st.integers(0, 1200).map(lambda seconds: max(START, sign - seconds * S))
    near = st.integers(-1000, 1000)
    call = draw(st.sampled_from(["none", "pending", "answered", "ended"]))
    excuse_at = draw(st.none() | st.integers(START, START + 6000 * S))
    return Facts(
        sign_at=sign,
        progress_at=draw(before),
        same=draw(st.none() | st.builds(Same, st.just("x"), st.integers(1, MOST_SAME - 1), before)),
        pending=Pending("x", sign + draw(near) * S) if call == "pending" else None,
        answered=Answered("x", sign + draw(near) * S) if call == "answered" else None,
        excuse=Excuse("paused", excuse_at) if excuse_at is not None else None,
        excused_at=draw(st.just(0) | before),
    )


def known_from(facts: Facts) -> int:
    """The earliest time at which all of the facts are known."""
    return max(
        facts.sign_at,
        facts.answered.at if facts.answered else 0,
        facts.excuse.since if facts.excuse else 0,
    )


def alarm(health: Health) -> Health | None:
    return health if health in AILING else None


@settings(max_examples=300)
@given(some_facts(), st.data())
def test_nothing_changes_between_a_look_and_the_next(facts: Facts, data: st.DataObject) -> None:
    now = known_from(facts) + data.draw(st.integers(0, 300) | st.integers(0, 3000)) * S
    found = assess(facts, LIMITS, now)
    last = found.next_at - 1 if found.next_at is not None else now + 10**9 * S
    for moment in (last, data.draw(st.integers(now, last))):
        assert alarm(assess(facts, LIMITS, moment).health) == alarm(found.health)


@given(some_facts(), st.lists(st.integers(0, 500), max_size=20))
def test_time_alone_makes_it_worse_and_never_better(facts: Facts, steps: list[int]) -> None:
    now = known_from(facts)
    found = assess(facts, LIMITS, now).health
    for step in steps:
        now += step * S
        then = assess(facts, LIMITS, now).health
        assert WORSE[then] >= WORSE[found], (then, found)
        found = then


@given(some_facts())
def test_looks_at_their_times_miss_no_alarm_and_come_to_an_end(facts: Facts) -> None:
    now = known_from(facts)
    changes = 0
    found = assess(facts, LIMITS, now)
    for _ in range(40):
        if found.next_at is None or (facts.excuse is not None and found.health == "quiet"):
            break
        assert found.next_at > now
        now = found.next_at
        then = assess(facts, LIMITS, now)
        changes += then.health in AILING and then.health != found.health
        found = then
    else:
        raise AssertionError("looked at without an end")
    assert changes <= 3
    assert found.health == "lost" or facts.excuse is not None


@given(some_facts(), st.integers(0, 5000))
def test_a_new_call_ends_every_alarm(facts: Facts, seconds: int) -> None:
    now = known_from(facts) + seconds * S
    acted = Facts(sign_at=now, progress_at=now, same=Same("y", 1, now), excuse=facts.excuse)
    assert assess(acted, LIMITS, now).health not in AILING


@given(some_facts(), st.integers(600, 5000), st.integers(0, 3000))
def test_a_pause_of_an_ailing_run_is_no_sign_of_life(facts: Facts, seconds: int, more: int) -> None:
    now = known_from(facts) + seconds * S
    found = assess(facts, LIMITS, now)
    if found.health not in AILING:
        return
    paused = assess(replace(facts, excuse=Excuse("paused", now)), LIMITS, now + more * S)
    assert paused.health in AILING


def at(seconds: int) -> int:
    return START + seconds * S


@pytest.mark.parametrize(
    ("seconds", "health"),
    [(0, "working"), (19, "working"), (20, "quiet"), (299, "quiet"), (300, "silent"),
     (599, "silent"), (600, "lost"), (10**6, "lost")],
)  # fmt: skip
def test_without_a_sign_it_is_quiet_then_silent_then_lost(seconds: int, health: Health) -> None:
    assert assess(Facts(START, START), LIMITS, at(seconds)).health == health


def test_a_call_may_take_its_time_and_silence_counts_from_there() -> None:
    facts = Facts(START, START, pending=Pending("books.refund", at(400)))
    found = [assess(facts, LIMITS, at(seconds)).health for seconds in (399, 401, 699, 700, 1000)]
    assert found == ["working", "working", "quiet", "silent", "lost"]
    alive = replace(facts, sign_at=at(899))
    assert assess(alive, LIMITS, at(899)).health == "working"
    assert assess(alive, LIMITS, at(900)).health == "stuck"


def test_the_same_call_again_and_again_is_stuck_while_it_lives() -> None:
    facts = Facts(at(1000), at(1000), same=Same("books.read", LEAST_SAME, at(100)))
    assert assess(facts, LIMITS, at(1000)).health == "stuck"
    assert assess(facts, LIMITS, at(1299)).health == "stuck"
    assert assess(facts, LIMITS, at(1300)).health == "silent"
    few = replace(facts, same=Same("books.read", LEAST_SAME - 1, at(100)))
    assert assess(few, LIMITS, at(1000)).health == "working"
    young = replace(facts, same=Same("books.read", MOST_SAME, at(999)))
    assert assess(young, LIMITS, at(1000)).health == "stuck"


def test_an_answer_that_nobody_fetches_is_stuck_while_it_lives() -> None:
    facts = Facts(at(890), START, answered=Answered("books.refund", START))
    assert assess(facts, LIMITS, at(899)).health == "working"
    assert assess(facts, LIMITS, at(900)).health == "stuck"


def test_what_its_runtime_does_not_know_is_lost_until_it_gives_a_sign() -> None:
    facts = Facts(START, START, missing_at=at(5))
    assert assess(facts, LIMITS, at(6)).health == "lost"
    assert assess(replace(facts, sign_at=at(6)), LIMITS, at(6)).health == "working"


def test_a_contract_sets_the_times() -> None:
    assert limits_of() == LIMITS
    assert limits_of(heartbeat_seconds=10) == Limits(15 * S, 30 * S, 900 * S)
    assert limits_of(heartbeat_seconds=10, silent_after_seconds=11).working == 11 * S
    assert limits_of(silent_after_seconds=60, stuck_after_seconds=70) == Limits(
        20 * S, 60 * S, 70 * S
    )


def test_an_agent_does_as_its_best_run() -> None:
    assert best(["lost", "silent"]) == "silent"
    assert best(["silent", "stuck", "quiet"]) == "quiet"
    assert best([]) is None
