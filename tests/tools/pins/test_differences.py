"""How definitions differ, in lines a person reads; bounded whatever is compared."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tools.pins.ground import definition
from watchkeeper.tools.pins.differences import LONGEST_LINE, MOST_LINES, compare

SCHEMA = {"type": "object", "properties": {"to": {"type": "string"}, "amount": {"type": "number"}}}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=3), inner),
    max_leaves=20,
)


def test_a_change_is_shown_where_it_is() -> None:
    other = {**SCHEMA, "properties": {"to": {"type": "string", "default": "evil"}}}
    lines = compare(definition(inputSchema=SCHEMA), definition(inputSchema=other))
    assert lines == (
        "+ inputSchema.properties.to.default: evil",
        '- inputSchema.properties.amount: {"type": "number"}',
    )


def test_true_is_not_one_and_what_cannot_be_seen_is_warned_of() -> None:
    one = definition(annotations={"a": 1})
    assert compare(one, definition(annotations={"a": True}))
    (warning, *_) = compare(one, definition(annotations={"a": 1}, description="Does\u200b it."))
    assert warning == "! it holds characters that a reader would not see"


@given(VALUES, VALUES)
@settings(max_examples=100, deadline=None)
def test_equal_definitions_and_no_others_compare_empty(old: Any, new: Any) -> None:
    one, two = definition(inputSchema={"x": old}), definition(inputSchema={"x": new})
    lines = compare(one, two)
    if one.digest == two.digest:
        assert not lines
    else:
        assert any(line[0] in "+-" for line in lines)


def test_the_longest_definition_gives_few_and_short_lines() -> None:
    wide = {f"p{n}": {"type": "string"} for n in range(1500)}
    lines = compare(definition(), definition(inputSchema={"properties": wide}))
    more = compare(definition(inputSchema=dict.fromkeys(wide, 1)), definition(inputSchema=wide))
    assert len(lines) <= MOST_LINES + 1
    assert len(more) == MOST_LINES + 1
    assert max(map(len, (*lines, *more))) <= LONGEST_LINE + 1
