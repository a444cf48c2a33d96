"""Who may acknowledge a hand-over, and when one is late. No clock, no storage."""

from __future__ import annotations

from collections.abc import Collection

from watchkeeper.oncall.handovers.model import Taker


def why_not(taker: Taker, *, by: str, to: str | None, next_people: Collection[str]) -> str | None:
    """Say why somebody may not acknowledge a hand-over, or return None if they may."""
    if by in taker.names:
        return f"{taker.person} gave it; somebody else has to take over"
    if taker.holds or to in taker.names or not taker.names.isdisjoint(next_people):
        return None
    awaited = [to] if to else sorted(next_people)
    return f"{taker.person} has no part in this watch" + (
        f"; it is given to {', '.join(awaited)}" if awaited else ""
    )


def is_late(*, due_at: int, acknowledged_at: int | None, now: int) -> bool:
    """Whether the watch has changed hands and nobody has acknowledged what was handed over."""
    return acknowledged_at is None and now >= due_at
