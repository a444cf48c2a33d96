"""How much people are told at a time: one message for a storm. No clock, no storage.

The first goes out at once; what follows within a minute is gathered into one, and so is what a
channel has no room for in this hour. Something urgent waits for neither, only for the last urgent
message to be a few seconds old.
"""

from __future__ import annotations

from collections.abc import Sequence

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.notices.model import Lane

GATHER_SECONDS = 60
"""Between two ordinary messages to one person by one channel."""
URGENT_SECONDS = 10
"""Between two messages with something urgent in them."""
HOUR = 3600 * MICROSECONDS


def may_tell_at(
    lane: Lane, spent: Sequence[int], *, most_per_hour: int, urgent: bool, now: int
) -> int:
    """Return from when on one more message may go out; not after `now`: at once.

    `spent` says when the channel's messages of the last hour went out, to whomever, oldest first.
    """
    if urgent:
        return _after(lane.urgent_at, URGENT_SECONDS)
    recent = [at for at in spent if at > now - HOUR]
    free = 0 if len(recent) < most_per_hour else recent[len(recent) - most_per_hour] + HOUR
    return max(_after(lane.told_at, GATHER_SECONDS), free)


def _after(at: int | None, seconds: int) -> int:
    return 0 if at is None else at + seconds * MICROSECONDS
