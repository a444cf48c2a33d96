"""When a delivery is tried again, and when it is given up. No clock, no storage, no chance."""

from __future__ import annotations

from collections.abc import Mapping

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.outbox.model import Attempt, Delivery, Next
from watchkeeper.wire.deliveries import DeliveryKind, DeliveryState

_MINUTE, _HOUR = 60, 3600
RETRIES: Mapping[DeliveryKind, tuple[int, ...]] = {
    # the schedule that Standard Webhooks suggest: three days in all
    "webhook": (
        5, 5 * _MINUTE, 30 * _MINUTE, 2 * _HOUR, 5 * _HOUR, 10 * _HOUR, 14 * _HOUR, 20 * _HOUR,
        24 * _HOUR,
    ),
    # who is asked to decide must hear of it in time, or the escalation goes on without them
    "notice": (15, _MINUTE, 5 * _MINUTE, 15 * _MINUTE),
}  # fmt: skip
"""Seconds before each further attempt; after the last one it is given up."""
JITTER = 0.2
"""Each pause is up to so much of itself longer, so that receivers are not hit all at once."""
CLAIM_SECONDS = 25
"""How long an attempt may take; a delivery claimed for longer was left by a plane that ended."""
LONGEST_PAUSE_SECONDS = 24 * _HOUR

_NEXT: Mapping[DeliveryState, frozenset[DeliveryState]] = {
    "pending": frozenset({"sending", "dead", "discarded"}),
    "sending": frozenset({"sent", "pending", "dead", "unknown", "discarded"}),
    # an answer that comes after the claim ran out is still the truth
    "unknown": frozenset({"sent", "dead", "pending", "discarded"}),
    "dead": frozenset({"pending", "discarded"}),
    "sent": frozenset(),
    "discarded": frozenset(),
}


def follows(state: DeliveryState, then: DeliveryState) -> bool:
    """Whether one state may lead to another."""
    return then in _NEXT[state]


def after_attempt(delivery: Delivery, attempt: Attempt, *, now: int, fraction: float) -> Next:
    """Say what follows an attempt; `fraction` (0 up to 1) is the jitter that was drawn."""
    if attempt.verdict == "sent":
        return Next("sent")
    if attempt.verdict == "refused":
        return Next("dead")
    if attempt.verdict == "unknown":
        return Next("unknown")
    if attempt.verdict == "moot":
        return Next("discarded", counts=False)
    asked = min(max(0, attempt.after_seconds or 0), LONGEST_PAUSE_SECONDS)
    if attempt.verdict == "later":
        return Next("pending", now + max(1, asked) * MICROSECONDS, counts=False)
    pauses = RETRIES[delivery.kind]
    if delivery.attempts > len(pauses):
        return Next("dead")
    pause = max(asked, pauses[delivery.attempts - 1]) * (1 + JITTER * fraction)
    return Next("pending", now + round(pause * MICROSECONDS))


def after_crash(delivery: Delivery, *, now: int) -> Next:
    """Say what follows where the plane ended during an attempt.

    A webhook is sent again: its receiver knows it by its id. A person who was told perhaps is
    not told twice; that nobody knows is shown.
    """
    if delivery.kind == "webhook":
        if delivery.attempts > len(RETRIES["webhook"]):
            return Next("dead")
        return Next("pending", now)
    return Next("unknown")
