"""A small drawing of amounts over time, one cell each."""

from __future__ import annotations

from collections.abc import Sequence

LEVELS = "▁▂▃▄▅▆▇█"
NOTHING = "·"


def sparkline(amounts: Sequence[int], width: int) -> str:
    """Draw the newest `width` amounts; nothing is a dot, anything at all is seen."""
    shown = [max(0, amount) for amount in amounts[-width:]] if width > 0 else []
    most = max(shown, default=0)
    if most == 0:
        return NOTHING * len(shown)
    last = len(LEVELS) - 1
    return "".join(LEVELS[amount * last // most] if amount else NOTHING for amount in shown)
