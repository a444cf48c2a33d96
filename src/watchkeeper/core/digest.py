"""Canonical JSON and digests: one value has one text, and two values never share one.

The form is RFC 8785 (sorted keys, no spaces, shortest numbers), stricter where that keeps
apart what a reader could tell apart, and looser nowhere:

- Objects: text keys in Unicode form NFC, sorted by UTF-16 code units; a key in another
  form, or a key twice, is refused. Nesting goes 64 deep at most.
- Integers: -2^63 to 2^64-1, all digits written (RFC 8785 would round beyond 2^53).
- Floats, which agents do send: finite only. A whole number below 2^53 is written as the
  integer it equals (``1.0`` is ``1``); from 2^53 on with an exponent or point, so that it
  never equals an integer's text.
- Text: as it is, never normalised; lone surrogates are refused.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Any, NoReturn

import msgspec

from watchkeeper.core.errors import Invalid

Written = msgspec.Raw
"""Canonical JSON of a value that goes into another as it is."""
DEEPEST = 64
MOST_VALUES = 50_000
"""Values in one document from outside: a megabyte of `[],[],` takes a second to go through."""
SMALLEST_INTEGER = -(2**63)
LARGEST_INTEGER = 2**64 - 1
_EXACT = 2.0**53
_PLAIN_FROM = 1e-6  # smaller floats are written with an exponent
_LONGEST_NUMBER = 40
# one that never ends takes the rest in one match: tried from every quote it would take forever
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)


def canonical(value: Any, depth: int = 0) -> bytes:
    """Return the canonical JSON of ``value``; raise :class:`Invalid` if it has none.

    ``depth`` is how deep it will stand in another value.
    """
    try:
        if _is_plain(value, depth):
            return _encode(value)
        parts: list[str] = []
        _write(value, parts.append, depth)
        return "".join(parts).encode()
    except UnicodeEncodeError:
        raise Invalid("text with a lone surrogate has no canonical form") from None


def digest(domain: str, value: Any) -> str:
    """Return ``sha256:<hex>`` over the domain, a zero byte and the canonical JSON.

    The domain keeps digests of different kinds apart even if their values are equal.
    Raises :class:`Invalid` if the value has no canonical form.
    """
    return "sha256:" + hashlib.sha256(domain.encode() + b"\0" + canonical(value)).hexdigest()


def parse(data: bytes | str) -> Any:
    """Read JSON that came from outside.

    Raises :class:`Invalid` for what is no JSON, a key twice, a key not in NFC, NaN and
    infinities, numbers, nesting or count of values out of bounds, and lone surrogates.
    """
    try:
        text = data.decode() if isinstance(data, bytes) else data
        opened = check_values(text)
        value = _decoder.decode(text)
        if "\\u" in text or isinstance(data, str):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError:
        raise Invalid("JSON is not proper UTF-8 text") from None
    except RecursionError:
        raise Invalid(f"JSON nests deeper than {DEEPEST}") from None
    except ValueError as error:
        raise Invalid(f"not JSON: {error!s:.120}") from None
    if opened > DEEPEST:
        _check_depth(value)
    return value


def parse_object(text: str | None) -> dict[str, Any] | None:
    """Return the JSON object that a text is; None where it is none."""
    try:
        found = parse(text) if text else None
    except Invalid:
        return None
    return found if isinstance(found, dict) else None


_encode = msgspec.json.Encoder(order="deterministic").encode
_PLAIN = frozenset({str, bool, type(None), Written})


def _is_plain(value: Any, depth: int) -> bool:
    """Tell whether a value is of such kinds that the encoder's text of it is the canonical one.

    It writes texts alike, but floats otherwise, and knows nothing of bounds and forms.
    """
    kind = type(value)
    if depth >= DEEPEST:
        return False
    if kind is dict:
        for key in value:
            if type(key) is not str or not key.isascii():
                return False
        items = value.values()
    elif kind is list or kind is tuple:
        items = value
    else:
        return False
    for item in items:
        kind = type(item)
        if kind in _PLAIN:
            continue
        if kind is int:
            if not SMALLEST_INTEGER <= item <= LARGEST_INTEGER:
                return False
        elif not _is_plain(item, depth + 1):
            return False
    return True


def _write(value: Any, add: Any, depth: int) -> None:
    kind = type(value)
    if kind is str:
        add(encode_basestring(value))
    elif kind is int:
        if not SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
            raise Invalid("integer outside -2^63 to 2^64-1 has no canonical form")
        add(repr(value))
    elif value is None:
        add("null")
    elif kind is bool:
        add("true" if value else "false")
    elif kind is dict:
        _write_object(value, add, depth)
    elif kind is list or kind is tuple:
        _check_level(depth)
        separator = "["
        for item in value:
            add(separator)
            _write(item, add, depth + 1)
            separator = ","
        add("]" if value else "[]")
    elif kind is Written:
        add(bytes(value).decode())
    elif kind is float:
        add(_float_text(value))
    else:
        _write_kin(value, add, depth)


def _write_object(value: dict[Any, Any], add: Any, depth: int) -> None:
    _check_level(depth)
    try:
        ascii_keys = all(map(str.isascii, value))
    except TypeError:
        raise Invalid("object keys must be text to have a canonical form") from None
    if ascii_keys:
        keys = sorted(value)
    else:
        for key in value:
            _check_key(key)
        keys = sorted(value, key=_utf16)
    separator = "{"
    for key in keys:
        item = value[key]
        if type(item) is str:
            add(f"{separator}{encode_basestring(key)}:{encode_basestring(item)}")
        else:
            add(f"{separator}{encode_basestring(key)}:")
            _write(item, add, depth + 1)
        separator = ","
    add("}" if keys else "{}")


def _write_kin(value: Any, add: Any, depth: int) -> None:
    """Write subclasses as their JSON kind (enumerations of text, named tuples)."""
    if isinstance(value, str):
        add(encode_basestring(str.__str__(value)))
    elif isinstance(value, Mapping):
        _write_object(dict(value), add, depth)
    elif isinstance(value, list | tuple):
        _write(list(value), add, depth)
    elif isinstance(value, int):
        _write(int(value), add, depth)
    elif isinstance(value, float):
        add(_float_text(float(value)))
    else:
        raise Invalid(f"{type(value).__name__} has no canonical form")


def _float_text(value: float) -> str:
    if not math.isfinite(value):
        raise Invalid("NaN and infinity have no canonical form")
    size = abs(value)
    if size < _EXACT and value == int(value):
        return repr(int(value))
    text = repr(value)
    if "e" not in text:
        return text
    mantissa, _, exponent = text.partition("e")
    power = int(exponent)
    if _PLAIN_FROM <= size < 1:
        digits = mantissa.replace(".", "").lstrip("-")
        return ("-" if value < 0 else "") + "0." + "0" * (-power - 1) + digits
    return f"{mantissa}e{power:+d}"


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")


def _check_level(depth: int) -> None:
    if depth >= DEEPEST:
        raise Invalid(f"JSON nests deeper than {DEEPEST}")


def check_values(text: str, most: int = MOST_VALUES) -> int:
    """Count the brackets that open; raise `Invalid` if there are too many values to decode."""
    opened = text.count("[") + text.count("{")
    if opened + text.count(",") < most:
        return opened
    values = end = 0
    for number, found in enumerate(_STRING.finditer(text), 1):
        between, end = text[end : found.start()], found.end()
        values += between.count("[") + between.count("{") + between.count(",")
        if values >= most or number > 2 * most:
            break
    else:
        rest = text[end:]
        values += rest.count("[") + rest.count("{") + rest.count(",")
        if values < most:
            return opened
    raise Invalid(f"JSON holds more than {most:,} values")


def _check_depth(value: Any) -> None:
    level: list[Any] = [value]
    for _ in range(DEEPEST + 1):
        below: list[Any] = []
        for item in level:
            if type(item) is dict:
                below.extend(item.values())
            elif type(item) is list:
                below.extend(item)
        if not below and not any(type(item) in (dict, list) for item in level):
            return
        level = below
    raise Invalid(f"JSON nests deeper than {DEEPEST}")


def _check_key(key: str) -> None:
    if not unicodedata.is_normalized("NFC", key):
        raise Invalid(f"object key not in Unicode form NFC: {key!a:.60}")


def _take_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise Invalid(f"object key twice: {key!a:.60}")
            seen.add(key)
    for key in value:
        if not key.isascii():
            _check_key(key)
    return value


def _take_integer(text: str) -> int:
    value = int(text) if len(text) <= _LONGEST_NUMBER else LARGEST_INTEGER + 1
    if not SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
        raise Invalid("integer outside -2^63 to 2^64-1")
    return value


def _take_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Invalid("number too large")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise Invalid(f"{name} is not JSON")


_decoder = json.JSONDecoder(
    object_pairs_hook=_take_pairs,
    parse_int=_take_integer,
    parse_float=_take_float,
    parse_constant=_refuse_constant,
)
