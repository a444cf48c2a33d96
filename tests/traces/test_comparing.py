"""Two runs side by side."""

from __future__ import annotations

from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from tests.traces.entries import RUN
from watchkeeper.traces.comparing import MOST_STEPS, Pair, align, compare
from watchkeeper.traces.model import Span


def step(subject: str, operation: str = "execute_tool", **more: object) -> Span:
    fields = {
        "key": "dec_1", "kind": "action", "run": RUN, "trace": "t", "span": "s", "parent": None,
        "agent": "clerk", "start": 0, "end": 1000, "verdict": "permit", "outcome": "succeeded",
    }  # fmt: skip
    return Span(operation=operation, subject=subject, **{**fields, **more})  # type: ignore[arg-type]


def steps(text: str) -> list[Span]:
    """Return a step for each letter: capitals are model calls, others tools."""
    return [step(one, "chat" if one.isupper() else "execute_tool") for one in text]


def shape(pairs: list[Pair]) -> str:
    return " ".join(f"{a.subject if a else '-'}{b.subject if b else '-'}" for a, b in pairs)


def test_what_is_alike_stands_together() -> None:
    assert shape(align(steps("abc"), steps("abc"))) == "aa bb cc"
    assert shape(align(steps("abc"), steps("abxc"))) == "aa bb -x cc"
    assert shape(align(steps("abc"), steps("ac"))) == "aa b- cc"
    assert shape(align(steps("abc"), steps("axc"))) == "aa bx cc"
    assert shape(align(steps("aBc"), steps("axc"))) == "aa B- -x cc"
    assert shape(align(steps("aBc"), steps("aDc"))) == "aa BD cc"
    assert shape(align([], steps("a"))) == "-a"
    assert align([], []) == []


def test_what_differs_is_named_and_noise_is_not() -> None:
    a = step("x", cost_micros=1000, rule="policy/p")
    other = step("x", cost_micros=2000, verdict="deny", outcome=None, rule="policy/q", end=200_000)
    [row] = compare([a], [other])
    assert (row.change, row.differs) == (
        "changed", ("verdict", "outcome", "rule", "cost", "time"),
    )  # fmt: skip
    near = step("x", cost_micros=1900, rule="policy/p", end=40_000)
    cheap = step("x", cost_micros=10), step("x", cost_micros=90)
    assert [one.change for one in (*compare([a], [near]), *compare(*([c] for c in cheap)))] == [
        "same", "same",
    ]  # fmt: skip
    [row] = compare([step("small", "chat")], [step("large", "chat")])
    assert (row.change, row.differs) == ("changed", ("name",))
    running = step("x", end=None)
    assert compare([running], [running])[0].a == compare([running], [running])[0].b


@given(st.text("abAB", max_size=9), st.text("abAB", max_size=9))
def test_no_other_way_has_fewer_differences(one: str, other: str) -> None:
    a, b = steps(one), steps(other)
    pairs = align(a, b)
    assert [pair[0] for pair in pairs if pair[0]] == a
    assert [pair[1] for pair in pairs if pair[1]] == b

    @cache
    def fewest(i: int, j: int) -> int:
        if i == len(a) or j == len(b):
            return len(a) - i + len(b) - j
        found = 1 + min(fewest(i + 1, j), fewest(i, j + 1))
        if a[i].operation == b[j].operation:
            found = min(found, fewest(i + 1, j + 1) + (a[i].subject != b[j].subject))
        return found

    cost = sum(not (x and y and x.subject == y.subject) for x, y in pairs)
    assert cost == fewest(0, 0)


def test_only_so_many_steps_are_compared() -> None:
    many = steps("a" * (MOST_STEPS + 5))
    assert len(compare(many, many)) == MOST_STEPS
