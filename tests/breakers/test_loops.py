"""The same again and again: what is a loop, and what is work."""

from __future__ import annotations

from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.breakers import loops
from watchkeeper.breakers.model import Permitted
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.registry.spending import LoopDetector

USUAL = LoopDetector()


class Run:
    """Calls of one agent, a second apart."""

    def __init__(self, look: LoopDetector = USUAL) -> None:
        self.look, self.state, self.at = look, loops.Loops(), 10**15

    def calls(
        self,
        *digests: object,
        run: str = "run_1",
        kind: Literal["tool", "model"] = "tool",
        seconds: float = 1,
    ) -> loops.Found | None:
        found = None
        for digest in digests:
            self.at += round(seconds * MICROSECONDS)
            call = Permitted(self.at, run, kind, "books.echo", str(digest))
            self.state, one = loops.step(self.state, call, self.look)
            found = found or one
        return found


def test_the_same_call_five_times_is_a_loop() -> None:
    run = Run()
    assert run.calls(*["a"] * 4) is None
    assert run.calls("a") == loops.Found(1, 5)


def test_work_in_between_hides_no_loop() -> None:
    run = Run()
    assert run.calls(*[one for n in range(4) for one in ("a", f"w{n}")]) is None
    assert run.calls("a") == loops.Found(1, 5)


def test_a_loop_is_found_among_many_runs_at_once() -> None:
    run = Run()
    others = range(200)
    for n in range(4):
        assert run.calls("a", run="run_looping", seconds=0.1) is None
        for other in others:
            assert run.calls(f"{other} {n}", run=f"run_{other}", seconds=0.1) is None
    assert run.calls("a", run="run_looping") == loops.Found(1, 5)
    assert sum(len(one.calls) for one in run.state.runs.values()) < 4096


def test_pages_are_no_loop() -> None:
    assert Run().calls(*range(1000)) is None


def test_retries_within_what_is_allowed_are_no_loop() -> None:
    run = Run()
    assert all(run.calls(*[n] * 4) is None for n in range(100))


def test_the_same_call_slowly_is_no_loop() -> None:
    assert Run().calls(*["a"] * 100, seconds=151) is None


def test_a_round_of_several_calls_is_found_sooner() -> None:
    run = Run()
    assert run.calls("a", "b", "c", "a", "b", "c", "a", "b") is None
    assert run.calls("c") == loops.Found(3, 3)


def test_a_round_is_seen_through_the_model_calls_between() -> None:
    run, found, calls = Run(), None, 0
    for n in range(10):
        for tool in ("a", "b"):
            run.calls(f"conversation {n} {tool}", kind="model")
            calls += 1
            found = found or run.calls(tool)
        if found:
            break
    assert (found, calls) == (loops.Found(2, 3), 6)


def test_a_longer_round_than_is_looked_for_shows_as_the_same_calls() -> None:
    run = Run(LoopDetector(longest_round=2))
    assert run.calls(*["a", "b", "c"] * 4) is None
    assert run.calls("a") == loops.Found(1, 5)


def test_two_runs_that_do_the_same_are_no_loop() -> None:
    run = Run()
    assert all(run.calls("a", run=f"run_{n}") is None for n in range(1000))


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 400)), max_size=800))
def test_what_is_remembered_is_bounded(calls: list[tuple[int, int]]) -> None:
    run = Run(LoopDetector(repeats=1000))
    for number, digest in calls:
        run.calls(digest, run=f"run_{number}", seconds=0.1)
    assert len(run.state.runs) <= 256
    assert all(len(course.calls) <= 64 for course in run.state.runs.values())
    assert all(len(course.newest) <= 4 for course in run.state.runs.values())
