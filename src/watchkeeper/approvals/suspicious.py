"""What in a request could mislead whoever reads it: pure rules over what is shown."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from watchkeeper.core.digest import canonical, parse
from watchkeeper.core.errors import Invalid
from watchkeeper.core.text import make_safe, oddities

MOST = 20
"""How many findings are shown; one more line says that there are others."""
_LONGEST_PATH = 80


def suspicions(asks: str, arguments: Any) -> tuple[str, ...]:
    """Say where what is asked, or an argument, holds hidden or look-alike characters."""
    found = list(islice(_all(asks, arguments), MOST + 1))
    if len(found) > MOST:
        found[MOST] = "and more"
    return tuple(found)


def read_canonical(text: str) -> dict[str, Any]:
    """Return the arguments that a request's canonical text says; raise `Invalid` unless the text
    is the one canonical form of an object."""
    value = parse(text)
    if not isinstance(value, dict) or canonical(value).decode() != text:
        raise Invalid("not the canonical form of arguments", rule="approval/canonical")
    return value


def _all(asks: str, arguments: Any) -> Iterator[str]:
    yield from (f"what is asked: {odd}" for odd in oddities(asks))
    # without recursion: arguments may nest as deep as JSON may
    left: list[tuple[str, Any]] = [("", arguments)]
    while left:
        path, value = left.pop()
        if isinstance(value, str):
            yield from (f"{_shown(path)}: {odd}" for odd in oddities(value))
        elif isinstance(value, dict):
            for name in value:
                inside = _shown(path) or "the arguments"
                yield from (f"a name in {inside}: {odd}" for odd in oddities(name))
            left += [(f"{path}.{name}" if path else name, value[name]) for name in reversed(value)]
        elif isinstance(value, list):
            left += [
                (f"{path}[{place}]", item) for place, item in reversed(list(enumerate(value, 1)))
            ]


def _shown(path: str) -> str:
    return make_safe(path, limit=_LONGEST_PATH)
