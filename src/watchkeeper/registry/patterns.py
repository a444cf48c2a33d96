"""Patterns of contracts: what must not occur in an argument, however it is written there."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from watchkeeper.core.digest import canonical
from watchkeeper.core.patterns import searching

LONGEST_CHECKED = 20_000
"""Characters of an argument that a pattern is tried on; longer ones match every pattern."""


def compile_pattern(pattern: str) -> Callable[[Any], bool]:
    """Return what tells whether the pattern occurs anywhere in an argument.

    Raises `Invalid` as `searching` does.
    """
    search = searching(pattern)

    def occurs(value: Any) -> bool:
        whole = _written(value)
        if len(whole) > LONGEST_CHECKED:
            return True
        return any(map(search, _readings(whole))) or any(
            search(reading) for text in _inner_texts(value) for reading in _readings(text)
        )

    return occurs


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else canonical(value).decode()


def _inner_texts(value: Any) -> Iterator[str]:
    """Yield every text inside a list or object, at any depth."""
    inner = value.values() if isinstance(value, Mapping) else value
    if isinstance(value, Mapping | list):
        for item in inner:
            if isinstance(item, str):
                yield item
            else:
                yield from _inner_texts(item)


def _readings(text: str) -> Iterator[str]:
    """Yield the text as it is, as it looks, and without a last line end, which `$` passes over."""
    yield text
    if text.endswith("\n"):
        yield text[:-1]
    if not text.isascii():
        plain = unicodedata.normalize("NFKC", text)
        yield "".join(letter for letter in plain if unicodedata.category(letter) != "Cf")
