"""How the body of an entry says what it commits to, and where that stood."""

from __future__ import annotations

from typing import Any

import msgspec

PERSONAL = "personal"
"""The body's key: commitments by the ids of their values."""
_COMMITS = f'"{PERSONAL}":{{'


class _Committing(msgspec.Struct):
    """A body of which all else is passed over."""

    personal: Any = None


_decode = msgspec.json.Decoder(_Committing).decode


def mark_of(value: str) -> str:
    """Return what stands in place of a value."""
    return f"[personal {value}]"


def commits(body: str) -> bool:
    """Tell whether a body may commit to anything: most do not, and a look says so."""
    return _COMMITS in body


def commitments_of(body: str) -> dict[str, str]:
    """Return the commitments of a body by the ids of their values; none of what is no body."""
    if not commits(body):
        return {}
    try:
        found = _decode(body).personal
    except msgspec.MsgspecError:
        return {}
    return found if isinstance(found, dict) else {}
