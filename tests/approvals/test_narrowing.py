"""When arguments ask for less: only what may change does, and only in its direction."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.approvals.narrowing import narrow
from watchkeeper.core.digest import canonical
from watchkeeper.core.errors import Invalid

EDITS = {"amount_usd": "lower", "to": "fewer", "text": "words"}
BEFORE: dict[str, Any] = {
    "amount_usd": 400, "to": ["a", "b", "b", {"c": 1}], "text": "hello", "from": "x", "flag": True,
}  # fmt: skip


def test_each_kind_changes_in_its_direction() -> None:
    after = {**BEFORE, "amount_usd": 40.5, "to": ["b", {"c": 1}], "text": ""}
    found = narrow(BEFORE, after, EDITS)
    assert [(one.argument, one.before, one.after) for one in found] == [
        ("amount_usd", 400, 40.5),
        ("text", "hello", ""),
        ("to", BEFORE["to"], ["b", {"c": 1}]),
    ]
    assert narrow({"fee": "$1,200.50"}, {"fee": "1200.49"}, {"fee": "lower"})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, "nothing was changed"),
        ({"amount_usd": 400.0}, "nothing was changed"),
        ({"amount_usd": 400.01}, "only be lowered"),
        ({"amount_usd": -1}, "below zero"),
        ({"amount_usd": True}, "has to be a number"),
        ({"amount_usd": "40"}, "has to be a number"),
        ({"amount_usd": None}, "has to be a number"),
        ({"to": []}, "keep an item"),
        ({"to": ["b", "a"]}, "only lose items"),
        ({"to": ["a", "b", "b", {"c": 1}, "d"]}, "only lose items"),
        ({"to": ["a", "a"]}, "only lose items"),
        ({"to": "a"}, "keep an item"),
        ({"text": 4}, "has to be text"),
        ({"from": "y"}, "may not be changed"),
        ({"flag": 1}, "may not be changed"),
        ({"more": 1}, "was added"),
    ],
)
def test_anything_else_is_refused_and_named(change: dict[str, Any], says: str) -> None:
    with pytest.raises(Invalid, match=says) as refused:
        narrow(BEFORE, {**BEFORE, **change}, EDITS)
    assert refused.value.rule == "approval/narrowing"
    assert refused.value.remedy


def test_an_argument_that_is_left_out_may_widen_what_is_done() -> None:
    with pytest.raises(Invalid, match="left out"):
        narrow(BEFORE, {k: v for k, v in BEFORE.items() if k != "to"}, EDITS)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=6,
)  # fmt: skip
_ARGUMENTS = st.dictionaries(st.sampled_from("abcd"), _VALUES)


@given(
    _ARGUMENTS, _ARGUMENTS,
    st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["lower", "fewer", "words"])),
)  # fmt: skip
def test_whatever_passes_differs_only_where_it_may_and_never_grows(
    before: dict[str, Any], after: dict[str, Any], edits: dict[str, str]
) -> None:
    try:
        found = narrow(before, after, edits)
    except Invalid:
        return
    changed = {one.argument for one in found}
    assert changed <= set(edits)
    assert set(before) == set(after)
    for name, was in before.items():
        now = after[name]
        assert (canonical(was) == canonical(now)) == (name not in changed)
        if name in changed and edits[name] == "lower" and not isinstance(was, str):
            assert 0 <= now < was
        if name in changed and edits[name] == "fewer":
            assert 0 < len(now) < len(was)
