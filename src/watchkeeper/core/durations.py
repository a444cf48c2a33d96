"""Durations as people write and read them."""

from __future__ import annotations

import re

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Invalid

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_WRITTEN = re.compile(r"([0-9]{1,6})([smhdw])")


def read_duration(text: str) -> int:
    """Read `90s`, `30m`, `12h`, `7d` or `2w` as seconds; raise `Invalid` for another text."""
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise Invalid(f"{text!r:.60} is no time", remedy="write 90s, 30m, 12h, 7d or 2w")
    return int(found[1]) * _SECONDS[found[2]]


def duration_text(microseconds: int) -> str:
    """Write a duration, without its sign, in two units: `2 m 05 s`, `3 h 10 m`, `4 d 2 h`."""
    seconds = abs(microseconds) // MICROSECONDS
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} m {seconds % 60:02d} s"
    if seconds < 86_400:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02d} m"
    return f"{seconds // 86_400} d {seconds % 86_400 // 3600} h"
