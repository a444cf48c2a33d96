"""JSON values: what is in them, and where.

Every text is looked at by itself, keys and numbers too; nothing is joined across values. All
texts of a value go through the recognisers in one pass, parted by a character that none of
them passes over. A text that is JSON again is opened, so that escapes hide nothing in it.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from watchkeeper.core.digest import check_values
from watchkeeper.core.errors import Invalid
from watchkeeper.core.text import make_safe
from watchkeeper.tools.inspection.detection import LARGEST, find
from watchkeeper.tools.inspection.model import Finding, Spans, TooLarge
from watchkeeper.tools.inspection.names import class_of, is_one, may_be_named
from watchkeeper.wire.data import DataClass

DEEPEST = 128
MOST_VALUES = 200_000
"""Values in one JSON text: to read millions of empty lists stops everything for seconds."""
_OPENED = 3
"""How often JSON inside a text inside JSON is opened."""
_SHORTEST_NUMBER = 10**8
_SHORT = frozenset({int, bool})
_PARTING = "\x00"
_LONGEST_STEP = 40
_DIGEST_LENGTH = 71
_is_digest = re.compile("sha256:[0-9a-f]{64}").fullmatch
"""One word too long for any number of a person, and with no mark of a secret."""
_LONGEST_KEPT = 256
_MOST_KEPT = 4096
_without: set[str] = set()
"""Short texts that nothing was found in: the same calls come again and again."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is in a value: findings by the place of their text among the value's texts."""

    found: Mapping[int, Spans] = field(default_factory=dict)
    opened: Mapping[int, Inspection] = field(default_factory=dict)
    """Texts that are JSON themselves, and what is in them."""
    classes: frozenset[DataClass] = frozenset()


NOTHING = Inspection()


def inspect(value: Any, *, _open: int = _OPENED) -> Inspection:
    """Return what is in a value; raise `TooLarge` if that takes more than bounded time."""
    texts: list[str] = []
    named: list[tuple[int, DataClass]] = []
    _collect(value, texts, named, 0)
    found = _find_in(texts)
    for index, data_class in named:
        if is_one(texts[index], data_class):
            whole = Finding(data_class, 0, len(texts[index]), "name")
            found.setdefault(index, []).append(whole)
    opened: dict[int, Inspection] = {}
    for index, text in enumerate(texts):
        # most JSON in texts has nothing to find, or shows it as it is
        if text[:1] in "{[ \t\r\n" and (index in found or "\\" in text) and _open:
            inner = _read(text)
            inside = inspect(inner, _open=_open - 1) if inner is not None else NOTHING
            if inside.classes:
                opened[index] = inside
    if not found and not opened:
        return NOTHING
    classes = {finding.data_class for spans in found.values() for finding in spans}
    return Inspection(
        found, opened, frozenset(classes.union(*(one.classes for one in opened.values())))
    )


def where(value: Any, inspection: Inspection, data_class: DataClass, root: str) -> str:
    """Return the path of the first text of a class, as `root.customer.notes[3]`."""
    for index, path in enumerate(_paths(value, root)):
        inside = inspection.opened.get(index)
        if any(finding.data_class == data_class for finding in inspection.found.get(index, ())):
            return path
        if inside is not None and data_class in inside.classes:
            return path
    return root


def is_larger(value: Any, size: int) -> bool:
    """Whether the texts of a value come to more than so many characters; cheap either way."""
    return _left(value, size, 0) < 0


def _left(value: Any, left: int, depth: int) -> int:
    if isinstance(value, str):
        return left - len(value)
    left -= 8
    if depth > DEEPEST:
        return -1
    if isinstance(value, Mapping):
        for key, item in value.items():
            left -= len(key)
            kind = type(item)
            if kind is str:
                left -= len(item)
            else:
                left = left - 8 if kind in _SHORT else _left(item, left, depth + 1)
            if left < 0:
                break
    elif isinstance(value, list | tuple):
        for item in value:
            left = _left(item, left, depth + 1)
            if left < 0:
                break
    return left


def _collect(value: Any, texts: list[str], named: list[tuple[int, DataClass]], depth: int) -> None:
    """Add every text of a value in order: of an object each key, then what is under it."""
    if isinstance(value, str):
        texts.append(value)
    elif isinstance(value, Mapping):
        _check(depth)
        for key, item in value.items():
            texts.append(key)
            if isinstance(item, str):
                data_class = class_of(key) if may_be_named(key) else None
                if data_class is not None:
                    named.append((len(texts), data_class))
                is_digest = len(item) == _DIGEST_LENGTH and _is_digest(item)
                texts.append("" if is_digest else item)
            elif type(item) not in _SHORT or abs(item) >= _SHORTEST_NUMBER:
                _collect(item, texts, named, depth + 1)
    elif isinstance(value, list | tuple):
        _check(depth)
        for item in value:
            _collect(item, texts, named, depth + 1)
    elif is_number(value):
        texts.append(written(value))


def is_number(value: Any) -> bool:
    """Whether a number is long enough to be somebody's."""
    return isinstance(value, int | float) and abs(value) >= _SHORTEST_NUMBER


def written(value: Any) -> str:
    """Return a number's digits as somebody would write them."""
    if isinstance(value, float) and abs(value) < 2**63 and value == int(value):
        return str(int(value))
    return str(value)


def _check(depth: int) -> None:
    if depth >= DEEPEST:
        raise TooLarge(f"nested deeper than {DEEPEST}")


def _find_in(texts: list[str]) -> dict[int, Spans]:
    if sum(map(len, texts)) > LARGEST:
        raise TooLarge(f"more than {LARGEST:,} characters")
    whole = _PARTING.join(texts)
    found: dict[int, Spans] = {}
    if whole in _without:
        return found
    findings = find(whole)
    if not findings:
        if len(whole) <= _LONGEST_KEPT:
            if len(_without) >= _MOST_KEPT:
                _without.clear()
            _without.add(whole)
        return found
    starts: list[int] = []
    at = 0
    for text in texts:
        starts.append(at)
        at += len(text) + 1
    for finding in findings:
        index = bisect_right(starts, finding.start) - 1
        start = finding.start - starts[index]
        end = min(finding.end - starts[index], len(texts[index]))
        if start < end:
            one = Finding(finding.data_class, start, end, finding.recogniser)
            found.setdefault(index, []).append(one)
    return found


def _read(text: str) -> Any:
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        check_values(text, MOST_VALUES)
    except Invalid as error:
        raise TooLarge(error.message) from None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _paths(value: Any, path: str) -> Iterator[str]:
    """Yield the path of every text in the order that they are collected."""
    if isinstance(value, str) or is_number(value):
        yield path
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield f"{path}: a key"
            yield from _paths(item, f"{path}.{_step(key)}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _paths(item, f"{path}[{index}]")


def _step(key: str) -> str:
    """A key as it may be told: an agent may have put there what must not be."""
    return "⟨a key⟩" if inspect(key).classes else make_safe(key, limit=_LONGEST_STEP)
