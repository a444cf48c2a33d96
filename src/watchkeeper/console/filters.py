"""Filter lines: ``agent:refunds cost:0.50 two words``."""

from __future__ import annotations

from collections.abc import Collection

WORDS = "filter"
"""What stands for the words without a key."""


def read_filter(text: str, keys: Collection[str]) -> dict[str, str]:
    """Return what a filter line asks for, by key; words without a known one under `filter`.

    A key whose value is still to be typed asks for nothing.
    """
    found: dict[str, str] = {}
    words: list[str] = []
    for word in text.split():
        key, colon, value = word.partition(":")
        if not colon or key not in keys:
            words.append(word)
        elif value:
            found[key] = value
    if words:
        found[WORDS] = " ".join(words)
    return found


def offered_keys(text: str, keys: Collection[str]) -> list[str]:
    """Return what a filter line could become: with each key that its last word begins."""
    head, _, last = text.rpartition(" ")
    return [f"{head} {key}:".lstrip() for key in keys if f"{key}:".startswith(last)]
