from __future__ import annotations

import hashlib
import json
import math
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.digest import DEEPEST, MOST_VALUES, Written, canonical, digest, parse
from watchkeeper.core.errors import Invalid

KEYS = st.text(st.characters(codec="utf-8"), max_size=6).map(
    lambda text: unicodedata.normalize("NFC", text)
)
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text(st.characters(codec="utf-8"), max_size=8)
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=4) | st.dictionaries(KEYS, v, max_size=4), max_leaves=12
)


@given(VALUES)
def test_canonical_text_is_json_and_a_fixed_point(value: Any) -> None:
    text = canonical(value)
    assert json.loads(text) == value
    assert canonical(parse(text)) == text


class Kin(dict[str, Any]):
    """An object that is written out part by part."""


def as_kin(value: Any) -> Any:
    if isinstance(value, dict):
        return Kin({key: as_kin(item) for key, item in value.items()})
    return [as_kin(item) for item in value] if isinstance(value, list) else value


WITHOUT_FLOATS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(st.characters()),
    lambda v: (
        st.lists(v, max_size=4) | st.dictionaries(st.text(st.characters(max_codepoint=127)), v)
    ),
    max_leaves=20,
)


@given(VALUES | WITHOUT_FLOATS)
def test_plain_values_are_written_at_once_as_they_are_part_by_part(value: Any) -> None:
    def written(value: Any) -> bytes | str:
        try:
            return canonical(value)
        except Invalid as error:
            return str(error)

    whole = {"value": value, "other": 1}
    assert written(whole) == written(Kin({"other": 1, "value": as_kin(value)}))


def test_every_character_is_written_at_once_as_it_is_part_by_part() -> None:
    for start in range(0, 0x30000, 0x100):
        text = "".join(chr(at) for at in range(start, start + 0x100) if not 0xD800 <= at < 0xE000)
        assert canonical({"text": text}) == canonical(Kin(text=text))


def test_what_is_written_goes_into_another_value_as_it_is() -> None:
    inner = {"b": [1, 2.5], "a": None}
    for beside in (1, 1.5):
        outer = {"inner": Written(canonical(inner, 1)), "beside": beside}
        assert canonical(outer) == canonical({"inner": inner, "beside": beside})
    with pytest.raises(Invalid):
        canonical(nested(64), 1)
    canonical(nested(63), 1)


@given(st.dictionaries(KEYS, VALUES, min_size=2, max_size=5))
def test_order_of_keys_does_not_matter(value: dict[str, Any]) -> None:
    backwards = dict(reversed(list(value.items())))
    assert digest("d", backwards) == digest("d", value)


@given(VALUES, VALUES)
def test_values_that_differ_never_share_a_text(one: Any, two: Any) -> None:
    """Python takes True for 1 and 1.0 for 1; only the second is so in JSON."""

    def told_apart(value: Any) -> Any:
        if isinstance(value, bool):
            return ("bool", value)
        if isinstance(value, list):
            return [told_apart(item) for item in value]
        if isinstance(value, dict):
            return {key: told_apart(item) for key, item in value.items()}
        return value

    if told_apart(one) != told_apart(two):
        assert canonical(one) != canonical(two)


def test_keys_sort_by_utf_16() -> None:
    """The example of RFC 8785, 3.2.3."""
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    keys = [key for key in keys if unicodedata.is_normalized("NFC", key)]
    found = list(json.loads(canonical(dict.fromkeys(keys))))
    assert found == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600"]
    assert list(json.loads(canonical({"\ue000": 1, "\U0001f600": 2}))) == ["\U0001f600", "\ue000"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (4.50, "4.5"),
        (2e-3, "0.002"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (-1.5e-5, "-0.000015"),
        (1e-27, "1e-27"),
        (5e-324, "5e-324"),
        (333333333.33333329, "333333333.3333333"),
        (2.0**53 - 1, "9007199254740991"),
        (2.0**53, "9007199254740992.0"),
        (1e30, "1e+30"),
        (2**53 + 1, "9007199254740993"),
        (2**64 - 1, "18446744073709551615"),
        ('\x00\b\t\n\f\r"\\/\x7f\u2028é', '"\\u0000\\b\\t\\n\\f\\r\\"\\\\/\x7f\u2028é"'),
        ((1, [], {}), "[1,[],{}]"),
        ({"b": None, "a": [True, False]}, '{"a":[true,false],"b":null}'),
    ],
)
def test_known_texts(value: Any, text: str) -> None:
    assert canonical(value).decode() == text


def test_digest_covers_the_domain_a_zero_and_the_text() -> None:
    expected = hashlib.sha256(b'action\x00{"a":1}').hexdigest()
    assert digest("action", {"a": 1.0}) == f"sha256:{expected}"
    assert digest("receipt", {"a": 1}) != digest("action", {"a": 1})


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        2**64,
        -(2**63) - 1,
        10**4000,
        "\ud800",
        {"\udfff": 1},
        {1: 2},
        {None: 2},
        {"e\u0301": 1},
        b"bytes",
        {1, 2},
        object(),
        nested(DEEPEST + 1),
    ],
)
def test_values_without_form_are_refused(value: Any) -> None:
    with pytest.raises(Invalid):
        canonical(value)
    with pytest.raises(Invalid):
        canonical({"inside": [value]})


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"nul",
        b"[1,]",
        b"{'a':1}",
        b'{"a":1,"a":2}',
        b'[{"x":{"a":1,"\\u0061":2}}]',
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1e400",
        b"9" * 5000,
        b"18446744073709551616",
        b"[-9223372036854775809]",
        b'"\\ud800"',
        b'{"\\udc00":1}',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        '{"e\u0301":1}'.encode(),
        b"[" * 65 + b"]" * 65,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'"\x01"',
        b"1 2",
        b'["' + b'\\",' * 300_000,
        b"[" + b"[]," * MOST_VALUES + b"[]]",
        b"{" + b",".join(b'"k%d":1' % n for n in range(MOST_VALUES)) + b"}",
    ],
)
def test_hostile_json_is_refused(text: bytes) -> None:
    with pytest.raises(Invalid):
        parse(text)


def test_deepest_nesting_passes() -> None:
    text = b"[" * DEEPEST + b"]" * DEEPEST
    assert canonical(parse(text)) == text
    wide = json.dumps([[{"a": []}]] * 200, separators=(",", ":")).encode()
    assert canonical(parse(wide)) == wide


def test_as_many_values_as_may_be_pass_and_commas_in_text_do_not_count() -> None:
    many = b"[" + b"1," * (MOST_VALUES - 2) + b"1]"
    assert canonical(parse(many)) == many
    assert parse(b'["' + b"," * (2 * MOST_VALUES) + b'"]') == ["," * (2 * MOST_VALUES)]


@given(st.binary(max_size=60))
def test_any_bytes_parse_or_are_invalid(data: bytes) -> None:
    try:
        value = parse(data)
    except Invalid:
        return
    assert parse(canonical(value)) == value
