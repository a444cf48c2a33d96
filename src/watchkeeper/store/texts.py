"""Texts within texts that are JSON, and what digests look like."""

from __future__ import annotations

import json
from collections.abc import Iterator

_DIGEST_LENGTH = 71
_OPENED = 3
"""How often JSON inside a text inside JSON is looked into."""


def is_digest(text: str) -> bool:
    """Tell whether a text is a digest as `core.digest` writes it."""
    return len(text) == _DIGEST_LENGTH and text.startswith("sha256:")


def texts_in(text: str, opened: int = _OPENED) -> Iterator[str]:
    """Yield the texts in a text that is JSON, its keys and numbers too; else the text itself."""
    if text[:1] not in ("{", "[", '"') or not opened:
        yield text
        return
    try:
        values = [json.loads(text)]
    except ValueError:
        yield text
        return
    while values:
        value = values.pop()
        if isinstance(value, dict):
            values += [*value, *value.values()]
        elif isinstance(value, list):
            values += value
        else:
            yield from texts_in(str(value), opened - 1)
