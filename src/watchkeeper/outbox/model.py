"""A delivery: what is to be told to whom, and how an attempt to tell it went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from watchkeeper.core.errors import Invalid, TooLarge
from watchkeeper.wire.deliveries import DeliveryKind, DeliveryState

LARGEST_PAYLOAD = 32_768
Target = tuple[DeliveryKind, str]
"""A webhook or channel, by name."""

Verdict = Literal["sent", "retry", "refused", "later", "moot", "unknown"]
"""sent: it arrived. retry: it did not, and may next time. refused: it never will, so it is given
up. later: nothing was tried (too many at once); the attempt does not count. moot: nothing was
tried and nothing needs to be any more, as when a request was decided before a person was told.
unknown: nobody can say whether it arrived; it is not sent again by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """Something to be told: `payload` is all that its handler needs, and never changes.

    `recipient` is the person who is told, for notices; `not_before` (microseconds) puts the
    first attempt off. Raises `TooLarge` for a payload beyond 32 KiB.
    """

    kind: DeliveryKind
    target: str
    """The name of the webhook or channel."""
    payload: str
    recipient: str | None = None
    request: str | None = None
    agent: str | None = None
    run: str | None = None
    event: int | None = None
    """The sequence of the event that it tells of."""
    not_before: int | None = None

    def __post_init__(self) -> None:
        if len(self.payload.encode()) > LARGEST_PAYLOAD:
            raise TooLarge(f"a delivery carries at most {LARGEST_PAYLOAD} bytes")
        if not self.target:
            raise Invalid("a delivery needs a target", where="target")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery as it is stored; a claim on it is good for its `epoch` only."""

    id: str
    kind: DeliveryKind
    target: str
    recipient: str | None
    request: str | None
    agent: str | None
    run: str | None
    event: int | None
    state: DeliveryState
    attempts: int
    """Counted when they begin."""
    next_at: int | None
    epoch: int
    """Rises with each claim."""
    claimed_until: int | None
    last_status: int | None
    last_error: str | None
    created_at: int
    sent_at: int | None
    payload: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one attempt went. `error` is shown to people: safe words, nothing that was sent."""

    verdict: Verdict
    status: int | None = None
    error: str | None = None
    after_seconds: int | None = None
    """Not before so many seconds, as the receiver (or the throttle) asks."""


@dataclass(frozen=True, slots=True)
class Next:
    """What follows an attempt: the delivery's state, and when it is tried again."""

    state: DeliveryState
    next_at: int | None = None
    counts: bool = True
    """Whether it was an attempt."""


class Handler(Protocol):
    """Sends the deliveries of one kind."""

    together: int
    """How many of one target and recipient it takes in one go."""

    async def send(self, deliveries: Sequence[Delivery]) -> Sequence[Attempt]:
        """Send deliveries of one target and recipient; return how each went, in order.

        It has `rules.CLAIM_SECONDS` for that. What it raises counts as `retry`.
        """
        ...
