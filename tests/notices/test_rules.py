"""How much is told at a time: one message for a storm, the first at once, urgent ones soon."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.notices.model import Lane
from watchkeeper.notices.rules import GATHER_SECONDS, HOUR, URGENT_SECONDS, may_tell_at

S = MICROSECONDS


def test_the_first_goes_out_at_once() -> None:
    assert may_tell_at(Lane(), [], most_per_hour=1, urgent=False, now=5 * S) <= 5 * S


def test_what_follows_is_gathered_for_a_minute() -> None:
    lane = Lane(told_at=100 * S)
    assert may_tell_at(lane, [100 * S], most_per_hour=30, urgent=False, now=101 * S) == 160 * S


def test_something_urgent_does_not_wait_for_that() -> None:
    lane = Lane(told_at=100 * S)
    assert may_tell_at(lane, [100 * S] * 99, most_per_hour=1, urgent=True, now=101 * S) <= 101 * S


def test_a_storm_of_urgent_ones_is_gathered_too() -> None:
    lane = Lane(told_at=100 * S, urgent_at=100 * S)
    assert may_tell_at(lane, [], most_per_hour=9, urgent=True, now=101 * S) == 110 * S


def test_a_full_hour_waits_until_its_oldest_message_is_an_hour_old() -> None:
    spent = [10 * S, 20 * S, 30 * S]
    at = may_tell_at(Lane(told_at=30 * S), spent, most_per_hour=3, urgent=False, now=200 * S)
    assert at == 10 * S + HOUR
    at = may_tell_at(Lane(told_at=30 * S), spent, most_per_hour=2, urgent=False, now=200 * S)
    assert at == 20 * S + HOUR


@dataclass
class Post:
    """A channel told by the rules, second by second."""

    most: int
    sent: list[tuple[int, str, bool]] = field(default_factory=list)

    def offer(self, who: str, urgent: bool, now: int) -> bool:
        mine = [(at, hot) for at, name, hot in self.sent if name == who]
        lane = Lane(
            max((at for at, _ in mine), default=None),
            max((at for at, hot in mine if hot), default=None),
        )
        times = [at for at, _, _ in self.sent]
        if may_tell_at(lane, times, most_per_hour=self.most, urgent=urgent, now=now) > now:
            return False
        self.sent.append((now, who, urgent))
        return True


@settings(max_examples=60, deadline=None)
@given(
    most=st.integers(1, 6),
    storm=st.lists(
        st.tuples(st.integers(0, 900), st.sampled_from(["ada", "bob"]), st.booleans()),
        max_size=60,
    ),
)
def test_bounds_hold_and_nothing_is_lost(most: int, storm: list[tuple[int, str, bool]]) -> None:
    """Everything is told in some message, urgent things within seconds, within all bounds."""
    post = Post(most)
    waiting: dict[str, list[tuple[int, bool]]] = {"ada": [], "bob": []}
    told: list[tuple[int, int, bool]] = []
    arrivals = sorted(storm)
    for second in range(3 * 3600):
        now = second * S
        while arrivals and arrivals[0][0] <= second:
            at, who, urgent = arrivals.pop(0)
            waiting[who].append((at, urgent))
        for who, held in waiting.items():
            hot = any(urgent for _, urgent in held)
            if held and post.offer(who, hot, now):
                told += [(at, second, urgent) for at, urgent in held]
                held.clear()
        if not arrivals and not any(waiting.values()):
            break
    assert len(told) == len(storm), "each is told once"
    assert all(second - at <= URGENT_SECONDS for at, second, urgent in told if urgent)
    for who in waiting:
        mine = [(at, hot) for at, name, hot in post.sent if name == who]
        for earlier, later in pairwise(mine):
            if not later[1]:
                assert later[0] - earlier[0] >= GATHER_SECONDS * S
        urgent_times = [at for at, hot in mine if hot]
        gaps = [b - a for a, b in pairwise(urgent_times)]
        assert all(gap >= URGENT_SECONDS * S for gap in gaps)
    for index, (at, _, hot) in enumerate(post.sent):
        if not hot:
            before = sum(1 for other, _, _ in post.sent[:index] if other > at - HOUR)
            assert before < most, "an ordinary message finds room in the hour"
