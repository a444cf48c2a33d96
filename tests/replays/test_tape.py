"""Which recorded step answers a call: the surest first, each once; whatever was recorded."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.gateways.replay.tape import Keys, Tape, TapeStep, difference, known_by

words = st.sampled_from(["a", "b", "c"])
keys = st.builds(Keys, words, st.none() | words, st.none() | words)
calls = st.lists(st.tuples(st.sampled_from(["tool", "model"]), keys), max_size=8)


def tape_of(recorded: list[tuple[Any, Keys]]) -> Tape:
    return Tape(
        [
            TapeStep(place, f"dec_{place}", kind, "x", "permit", known, None)
            for place, (kind, known) in enumerate(recorded, 1)
        ]
    )


@given(calls)
def test_the_same_calls_in_the_same_order_get_the_same_steps(
    recorded: list[tuple[Any, Keys]],
) -> None:
    tape = tape_of([(kind, Keys(f"{place}{one.call}", one.kept, one.asked))
                    for place, (kind, one) in enumerate(recorded)])  # fmt: skip
    for step in tape.steps:
        assert tape.take(step.kind, step.keys) == (step, "call")
    assert list(tape.left_out()) == []
    assert tape.last == len(recorded)


@given(calls, calls)
def test_each_step_is_played_once_and_to_a_call_like_it(
    recorded: list[tuple[Any, Keys]], made: list[tuple[Any, Keys]]
) -> None:
    tape = tape_of(recorded)
    played = []
    for kind, known in made:
        left = list(tape.left_out())
        taken = tape.take(kind, known)
        like = [
            (step, how)
            for how in Keys._fields
            for step in left
            if step.kind == kind and getattr(known, how) is not None
            and getattr(step.keys, how) == getattr(known, how)
        ]  # fmt: skip
        assert taken == (like[0] if like else None)
        if taken is not None:
            played.append(taken[0].place)
    assert len(set(played)) == len(played)
    assert len(played) + len(list(tape.left_out())) == len(recorded)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=12,
)


@given(anything, anything)
def test_where_two_values_differ_is_said_and_nowhere_else(one: Any, other: Any) -> None:
    assert (difference(one, other) is None) == (one == other)
    assert difference(one, one) is None


def test_a_difference_is_found_however_deep() -> None:
    deep: Any = "x"
    for _ in range(500):
        deep = [deep]
    assert difference(deep, [deep]) is not None
    then = {"messages": [{"content": "a"}, {"content": "b"}]}
    assert difference(then, {"messages": [{"content": "a"}, {"content": "c"}]}) == (
        "messages[1].content"
    )
    assert difference(then, {"messages": [{"content": "a"}]}) == "messages[1]"


def test_what_tools_answered_is_not_what_a_call_is_known_by() -> None:
    def told(result: str) -> str:
        return json.dumps({"messages": [{"role": "tool", "tool_call_id": "1", "content": result}]})

    (kept, asked), (other, same) = known_by(told("a")), known_by(told("b"))
    assert kept != other
    assert asked is not None
    assert asked == same
    assert known_by(json.dumps({"messages": []}))[1] is None
    assert known_by("no JSON") == ("no JSON", None)
