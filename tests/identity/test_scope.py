"""Narrowing only ever narrows, whatever is asked for and however often."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.errors import Forbidden, Invalid
from watchkeeper.identity.details import (
    Access,
    Detail,
    Use,
    Used,
    affordable,
    has_room,
    read_details,
)
from watchkeeper.identity.scope import (
    LONGEST_SCOPE,
    MOST_LAYERS,
    Layer,
    TokenScope,
    read_scope,
    read_token_scope,
)

NAMES = ("a", "b", "c")
SCOPES = [
    *(f"tool:{name}" for name in NAMES),
    *(f"tool:{name}:read" for name in NAMES),
    "class:read",
    "class:write",
    "model:m",
    "agent:x",
]
READ_OR_WRITE: tuple[Access, ...] = ("read", "write")
USES = [
    *(
        Use("tool", name, access, upstream)
        for name, access, upstream in itertools.product(NAMES, READ_OR_WRITE, ("u", "v"))
    ),
    Use("model", "m"),
    Use("model", "n"),
    Use("agent", "x"),
]


def some(names: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(names), unique=True, max_size=2).map(tuple)


DETAILS = st.builds(
    Detail,
    tools=some(NAMES),
    actions=st.lists(st.sampled_from(READ_OR_WRITE), unique=True, max_size=2).map(tuple),
    locations=some(("u", "v")),
    max_amount_micros=st.none() | st.integers(0, 30),
    max_calls=st.none() | st.integers(0, 3),
    counter=st.sampled_from(["c1", "c2", "c3"]),
)
LAYERS = st.builds(
    Layer,
    scopes=st.none() | st.frozensets(st.sampled_from(SCOPES), min_size=1),
    details=st.none() | st.lists(DETAILS, min_size=1, max_size=3).map(tuple),
)


def allowed(scope: TokenScope, used: dict[str, Used], use: Use, amount: int) -> bool:
    """What the gates make of one use."""
    return scope.admits(use) and all(
        affordable(details, lambda counter: used.get(counter, Used()), amount) is not None
        for details in scope.counted(use)
    )


@given(
    st.lists(LAYERS, max_size=4),
    LAYERS,
    st.dictionaries(
        st.sampled_from(["c1", "c2", "c3"]),
        st.builds(Used, st.integers(0, 4), st.integers(0, 40)),
    ),
    st.integers(0, 30),
)
def test_a_narrower_token_is_for_nothing_that_the_wider_is_not(
    held: list[Layer], asked: Layer, used: dict[str, Used], amount: int
) -> None:
    wide = TokenScope()
    for layer in held:
        wide = wide.narrowed(layer)
    narrow = wide.narrowed(asked)
    for use in USES:
        if allowed(narrow, used, use, amount):
            assert allowed(wide, used, use, amount)
    assert read_token_scope(narrow.text()) == narrow


@given(LAYERS, LAYERS)
def test_what_is_granted_without_complaint_is_covered(held: Layer, asked: Layer) -> None:
    """Who is not told that a scope is wider than what they hold gets all of what they asked."""
    wide = TokenScope().narrowed(held)
    try:
        wide.check_wider(asked)
    except Forbidden:
        return
    if held.scopes is None or asked.scopes is None:
        return
    for use in USES:
        if Layer(asked.scopes).names(use):
            assert Layer(held.scopes).names(use), (use, asked.scopes, held.scopes)


def test_a_token_is_narrowed_so_many_times_and_no_more() -> None:
    scope = TokenScope()
    for _ in range(MOST_LAYERS):
        scope = scope.narrowed(Layer(frozenset({"class:read"})))
    with pytest.raises(Forbidden):
        scope.narrowed(Layer(frozenset({"class:read"})))


def test_a_scope_is_kept_short() -> None:
    """Each token stores its whole scope: a long one would be stored hundreds of times."""
    wide = read_scope(" ".join(f"tool:{'x' * 50}{n:03}" for n in range(200)))
    layer = Layer(wide)
    scope = TokenScope((layer,) * (LONGEST_SCOPE // len(TokenScope((layer,)).text() or "")))
    assert len(scope.layers) < MOST_LAYERS
    with pytest.raises(Forbidden, match="longer"):
        scope.narrowed(layer)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "tool:", "tool:a:write", "tool:A", "everything", "tool:a  tool:b", "class:any",
        "tool:a\ntool:b", "tool:" + "a" * 80, " ".join(["tool:a"] * 201),
    ],
)  # fmt: skip
def test_an_unknown_scope_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_scope(text)
    assert caught.value.code == "invalid_scope"


@pytest.mark.parametrize(
    "sent",
    [
        "no json",
        "{}",
        "[]",
        "[1]",
        '[{"type": "payment"}]',
        '[{"type": "tool_call", "max_call": 1}]',
        '[{"type": "tool_call", "tools": []}]',
        '[{"type": "tool_call", "tools": "a"}]',
        '[{"type": "tool_call", "actions": ["delete"]}]',
        '[{"type": "tool_call", "max_calls": true}]',
        '[{"type": "tool_call", "max_calls": -1}]',
        '[{"type": "tool_call", "max_amount_usd": "lots"}]',
        '[{"type": "tool_call", "max_amount_usd": -1}]',
        '[{"type": "tool_call", "type": "tool_call"}]',
        json.dumps([{"type": "tool_call"}] * 21),
        "[" * 100_000,
    ],
)
def test_an_unknown_detail_is_refused(sent: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_details(sent, "c")
    assert caught.value.code == "invalid_authorization_details"


def test_amounts_and_calls_are_counted_apart() -> None:
    detail = Detail(max_amount_micros=30, max_calls=2)
    assert has_room(detail, Used(1, 20), 10)
    assert not has_room(detail, Used(1, 21), 10)
    assert not has_room(detail, Used(2, 0), 0)
