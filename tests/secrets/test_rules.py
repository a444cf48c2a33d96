"""Sealing: what is opened is what was sealed, and any change is refused."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.errors import Invalid, Unavailable
from watchkeeper.tools.secrets.known import HIDDEN, KnownValues
from watchkeeper.tools.secrets.model import Sealed, SealingKey
from watchkeeper.tools.secrets.rules import key_of, read_keys, seal, unseal, write_keys

KEYS = st.binary(min_size=32, max_size=32).map(lambda raw: key_of(raw.hex()))
NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=200)
NONCES = st.binary(min_size=12, max_size=12)


@st.composite
def sealed_rows(draw: st.DrawFn) -> tuple[SealingKey, Sealed, str]:
    key, value = draw(KEYS), draw(VALUES)
    name, version, nonce = draw(NAMES), draw(st.integers(1, 10**9)), draw(NONCES)
    row = Sealed(name, version, key.id, nonce, seal(key, name, version, value, nonce), 0, 0)
    return key, row, value


@given(sealed_rows())
def test_what_is_sealed_opens(made: tuple[SealingKey, Sealed, str]) -> None:
    key, row, value = made
    assert unseal(key, row) == value
    assert value.encode() not in row.ciphertext or len(value) < 4


@given(sealed_rows(), st.data())
def test_any_changed_byte_is_refused(
    made: tuple[SealingKey, Sealed, str], data: st.DataObject
) -> None:
    key, row, _ = made
    field = data.draw(st.sampled_from(["nonce", "ciphertext"]))
    raw = bytearray(getattr(row, field))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    changed = (
        replace(row, nonce=bytes(raw)) if field == "nonce" else replace(row, ciphertext=bytes(raw))
    )
    with pytest.raises(Unavailable):
        unseal(key, changed)


@given(sealed_rows(), st.data())
def test_a_row_cannot_stand_in_for_another(
    made: tuple[SealingKey, Sealed, str], data: st.DataObject
) -> None:
    key, row, _ = made
    other = data.draw(NAMES.filter(lambda name: name != row.name))
    for changed in (
        replace(row, name=other),
        replace(row, version=row.version + 1),
        replace(row, ciphertext=row.ciphertext[:-1]),
        replace(row, ciphertext=b""),
        replace(row, nonce=b""),
    ):
        with pytest.raises(Unavailable):
            unseal(key, changed)
    with pytest.raises(Unavailable):
        unseal(data.draw(KEYS.filter(lambda one: one.id != key.id)), row)


@given(st.lists(KEYS, max_size=8))
def test_keys_are_read_as_they_are_written(keys: list[SealingKey]) -> None:
    assert read_keys(write_keys(keys)) == tuple(keys)


def test_a_key_is_read_in_every_usual_form_and_never_shown() -> None:
    raw = bytes(range(0xE0, 0x100))
    forms = [raw.hex(), base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode(),
             base64.b64encode(raw).decode().rstrip("=")]  # fmt: skip
    (key,) = {key_of(form) for form in forms}
    assert key.material == raw
    assert "material" not in repr(key)
    for bad in ("", "00" * 31, "zz" * 32, "A" * 44, "%" * 43):
        with pytest.raises(Invalid) as refused:
            key_of(bad)
        assert not bad or bad not in str(refused.value)


@given(VALUES.filter(lambda value: len(value) >= 6), st.binary(max_size=50))
def test_a_known_value_is_found_in_every_usual_form(value: str, around: bytes) -> None:
    known = KnownValues()
    known.remember("env:X", value)
    for form in (value, json.dumps(value)[1:-1], quote(value, safe=""),
                 base64.b64encode(value.encode()).decode()):  # fmt: skip
        found = known.redact_known(b"<" + form.encode() + b">")
        assert form.encode() not in found or form.encode() in HIDDEN
        assert HIDDEN in found


def test_what_a_value_replaced_is_still_withheld_and_short_words_are_not() -> None:
    known = KnownValues()
    known.remember("env:X", "first-value")
    known.remember("env:X", "second-value")
    known.remember("env:Y", "test")
    assert known.redact_text("first-value second-value test") == (
        "[credential withheld] [credential withheld] test"
    )
    same = b"nothing of it"
    assert known.redact_known(same) is same
