"""Values without what was found in them: still JSON, still the same elsewhere, and clean."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tools.inspection.corpus import made
from watchkeeper.tools.inspection.model import TooLarge
from watchkeeper.tools.inspection.redaction import marker, redact, redact_text
from watchkeeper.tools.inspection.rules import ALL, SECRETS, refused_in, withheld_out
from watchkeeper.tools.inspection.values import inspect, is_larger, where
from watchkeeper.wire.data import DATA_CLASSES

PLANTED = [value for _, value in made(seed=3, count=6)]
words = st.one_of(
    st.text(max_size=20),
    st.sampled_from(PLANTED),
    st.lists(st.one_of(st.sampled_from(PLANTED), st.text(max_size=6)), max_size=4).map("".join),
    st.lists(st.sampled_from(PLANTED), max_size=3).map(" ".join),
    st.sampled_from(PLANTED).map(lambda one: json.dumps({"inner": one, "n": [one]})),
    st.sampled_from(PLANTED).map(
        lambda one: json.dumps({"inner": one.replace("@", "\x00")}).replace("\\u0000", "\\u0040")
    ),
)
values = st.recursive(
    st.one_of(
        words,
        st.integers(-(2**63), 2**64),
        st.floats(allow_nan=False, allow_infinity=False),
        st.booleans(),
        st.none(),
        st.just(4111111111111111),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(words, st.just("password")), inner, max_size=4),
    ),
    max_leaves=12,
)
wanted = st.sets(st.sampled_from(DATA_CLASSES), min_size=1)


@settings(max_examples=300, deadline=None)
@given(values, wanted)
def test_nothing_unwanted_is_left_and_redacting_again_changes_nothing(
    value: Any, unwanted: set[Any]
) -> None:
    clean = redact(value, unwanted)
    assert inspect(clean).classes.isdisjoint(unwanted)
    assert redact(clean, unwanted) == clean
    assert json.loads(json.dumps(clean)) == clean


@settings(max_examples=200, deadline=None)
@given(values, wanted)
def test_what_holds_nothing_unwanted_stays_as_it_is(value: Any, unwanted: set[Any]) -> None:
    if inspect(value).classes.isdisjoint(unwanted):
        assert redact(value, unwanted) == value


@pytest.mark.parametrize(("data_class", "planted"), made(seed=9, count=3))
def test_a_value_is_found_at_its_place_and_only_it_is_replaced(
    data_class: Any, planted: str
) -> None:
    value = {"kept": "as it is", "rows": [{"note": f"see ({planted})"}, 7]}
    seen = inspect(value)
    assert data_class in seen.classes
    assert where(value, seen, data_class, "arguments") == "arguments.rows[0].note"
    clean = redact(value, ALL)
    assert planted not in json.dumps(clean, ensure_ascii=False)
    assert (clean["kept"], clean["rows"][1]) == ("as it is", 7)


def test_numbers_keys_and_named_fields_are_looked_at() -> None:
    value = {
        "card": 4111111111111111,
        "ada@example.com": {"phone": "030 1234567"},
        "bob@example.com": 1,
        "password": "hunter2hunter2",
        "count": 4111111111111112,
    }
    assert redact(value, ALL) == {
        "card": "[card redacted]",
        "[email redacted]": {"phone": "[phone redacted]"},
        "[email redacted] 2": 1,
        "password": "[secret redacted]",
        "count": 4111111111111112,
    }


def test_a_key_is_named_as_a_key_and_never_quoted() -> None:
    value = {"ada@example.com": {"card": "4111 1111 1111 1111"}}
    seen = inspect(value)
    assert where(value, seen, "email", "arguments") == "arguments: a key"
    assert where(value, seen, "card", "arguments") == "arguments.⟨a key⟩.card"


def test_json_inside_a_text_is_opened_and_stays_json() -> None:
    text = '{"mail": "ada\\u0040example.com", "card": 4111111111111111}'
    clean = redact(text, ALL)
    assert json.loads(clean) == {"mail": "[email redacted]", "card": "[card redacted]"}


def test_nothing_is_joined_across_values() -> None:
    assert inspect(["4111", "1111", "1111", "1111"]).classes == frozenset()
    assert inspect({"a": "ada@", "b": "example.com"}).classes == frozenset()


def test_what_is_too_deep_or_too_large_is_not_inspected() -> None:
    deep: Any = "x"
    for _ in range(200):
        deep = [deep]
    with pytest.raises(TooLarge):
        inspect(deep)
    assert redact_text("@" * 100_000, SECRETS) == "[too large to inspect]"
    assert is_larger({"a": ["x" * 50]}, 40)
    assert not is_larger({"a": ["x"]}, 400)


def test_markers_hold_nothing() -> None:
    for data_class in DATA_CLASSES:
        assert inspect({"password": marker(data_class), "x": marker(data_class)}) == inspect("")


def test_what_may_pass() -> None:
    assert refused_in(None) == {"secret"}
    assert refused_in(["email"]) == ALL - {"email"}
    assert withheld_out("off", None) == withheld_out("off", ["email"]) == {"secret"}
    assert withheld_out("standard", None) == {"secret"}
    assert withheld_out("standard", ["email"]) == ALL - {"email"}
    assert withheld_out("strict", None) == ALL
    assert withheld_out("strict", ["email"]) == ALL - {"email"}
    assert "secret" not in withheld_out("off", ["secret"])
