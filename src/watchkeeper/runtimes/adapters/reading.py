"""What a runtime answers, read with suspicion: any type may stand anywhere, at any size.

Nothing here raises for what a runtime wrote; what can't be used is None.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.digest import canonical
from watchkeeper.core.errors import Invalid
from watchkeeper.core.text import make_safe

LONGEST_ID = 200
LONGEST_WORD = 100
LONGEST_TEXT = 2_000
DEEPEST = 16
MOST_VALUES = 2_000
"""In one value that is handed on: a person is shown it, and the ledger keeps it."""
_MILLISECONDS_FROM = 100_000_000_000  # as seconds: the year 5138
_MICROSECONDS_FROM = 100_000_000_000_000
_FIRST, _LAST = 0, 7_258_118_400 * MICROSECONDS  # 1970 to 2200


def id_in(row: Any, key: str) -> str | None:
    """Return an id that can be shown, kept and sent back as it is; a number is its digits."""
    value = at(row, key)
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 64:
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_ID:
        return None
    return value if value.isprintable() and value not in {".", ".."} else None


def word_in(row: Any, key: str) -> str:
    """Return a short word such as a state, safe to show; nothing for what is no text."""
    value = at(row, key)
    return str(make_safe(value, limit=LONGEST_WORD)) if isinstance(value, str) else ""


def text_in(row: Any, key: str, limit: int = LONGEST_TEXT) -> str | None:
    """Return a text for people, safe to show and shortened; None for what is no text."""
    value = at(row, key)
    if not isinstance(value, str) or not value:
        return None
    return str(make_safe(value, limit=limit, keep_newlines=True))


def time_in(row: Any, key: str) -> int | None:
    """Return a time in microseconds: of ISO 8601 (UTC where it says nothing), or of a number.

    A number counts seconds, milliseconds or microseconds since 1970, whichever is of our time.
    """
    value = at(row, key)
    try:
        if isinstance(value, str) and len(value) <= LONGEST_WORD:
            read = datetime.fromisoformat(value)
            read = read if read.tzinfo else read.replace(tzinfo=UTC)
            moment = round(read.timestamp() * MICROSECONDS)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            moment = round(value * _unit(value))
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return moment if _FIRST <= moment <= _LAST else None


def _unit(number: float) -> int:
    if number >= _MICROSECONDS_FROM:
        return 1
    return MICROSECONDS // 1000 if number >= _MILLISECONDS_FROM else MICROSECONDS


def at(value: Any, path: str) -> Any:
    """Return what is at `a.b` in nested objects; the whole for an empty path, None if absent."""
    for key in path.split(".") if path else ():
        value = value.get(key) if isinstance(value, dict) else None
    return value


def object_in(row: Any, key: str) -> dict[str, Any]:
    """Return the object at `key`, or an empty one."""
    value = at(row, key)
    return value if isinstance(value, dict) else {}


def rows_in(value: Any, key: str) -> list[dict[str, Any]]:
    """Return the objects of the list at `key`; no list: nothing."""
    found = at(value, key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def arguments_in(value: Any) -> Mapping[str, Any] | None:
    """Return what a person is asked to approve; None where it can't be shown and kept whole."""
    if value is None:
        return {}
    whole = value if isinstance(value, dict) else {"value": value}
    if not _is_modest(whole):
        return None
    try:
        canonical(whole)
    except Invalid:
        return None
    return whole


def _is_modest(value: Any) -> bool:
    """Whether a value is neither deep nor large; looks at no more than that takes."""
    left: list[Iterator[Any]] = [iter((value,))]
    seen = characters = 0
    while left:
        one = next(left[-1], left)
        if one is left:
            left.pop()
            continue
        seen += 1
        if isinstance(one, str):
            characters += len(one)
        elif isinstance(one, dict):
            characters += sum(map(len, one))
            left.append(iter(one.values()))
        elif isinstance(one, list):
            left.append(iter(one))
        if len(left) > DEEPEST or seen > MOST_VALUES or characters > MOST_VALUES * 20:
            return False
    return True
