"""What the plane tells others: callbacks and notices on their way, and what became of them."""

from __future__ import annotations

from typing import Literal

from watchkeeper.wire.base import Name, Reason, Sent, Shown

DeliveryKind = Literal["webhook", "notice"]
DeliveryState = Literal["pending", "sending", "sent", "dead", "unknown", "discarded"]
"""pending → sending → sent; or pending again to be retried; dead (given up), unknown (the plane
ended while it was sent: it may have arrived), discarded (by a person)."""


class DeliveryRow(Shown):
    """One callback or notice."""

    delivery: str
    """Also its `webhook-id`: receivers know by it what they had before."""
    kind: DeliveryKind
    target: str
    """The webhook or channel."""
    state: DeliveryState
    attempts: int
    created_at: int
    recipient: str | None = None
    """The person who is told."""
    request: str | None = None
    next_at: int | None = None
    """When it is tried next."""
    sent_at: int | None = None
    last_status: int | None = None
    """The HTTP status of the last attempt."""
    last_error: str | None = None


class Redrive(Sent):
    """Send again everything of a target that was given up."""

    kind: DeliveryKind = "webhook"
    target: Name


class Redriven(Shown):
    """How many are sent again."""

    redriven: int
    left: int = 0
    """Given up still: one call takes a bounded number."""


class Discard(Sent):
    """Give a delivery up for good."""

    reason: Reason | None = None


class WebhookKey(Shown):
    """The key that webhooks signed with `ed25519` are verified with."""

    key: str
    """As Standard Webhooks write it: `whpk_…`."""
