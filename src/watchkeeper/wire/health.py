"""Whether runs give signs of life, and outcomes that nobody knows until a person settles them."""

from __future__ import annotations

from typing import Literal

from watchkeeper.wire.base import Reason, Sent, Shown
from watchkeeper.wire.decisions import ActionKind, OutcomeStatus, Performer, Reconciled, Risk
from watchkeeper.wire.pages import Page

Health = Literal["working", "quiet", "silent", "lost", "stuck"]
"""Of an open run. quiet: nothing was heard of it lately, within what it may take; silent: for
longer than that; lost: for twice as long, or its runtime does not know it any more; stuck: it
lives and gets nowhere."""
AILING: frozenset[Health] = frozenset({"silent", "lost", "stuck"})
"""What somebody should look at."""


class HeartbeatTaken(Shown):
    """The plane has heard that a run lives."""

    run: str
    health: Health
    next_seconds: int
    """Say so again, or act, within this time."""


class UnsettledRow(Shown):
    """A permitted action of which nobody knew how it ended."""

    decision: str
    agent: str
    owner: str
    """The team that answers for the agent; empty where no contract is in force."""
    run: str
    kind: ActionKind
    name: str
    risk: Risk
    object: str | None = None
    """The business object, as KIND/ID."""
    value_micros: int = 0
    performer: Performer
    request: str | None = None
    """The approval request that it was done under."""
    at: int
    """When it was permitted."""
    since: int
    """When it was found that nobody knows."""
    why: str
    """Why nobody knows, in words."""
    outcome: OutcomeStatus
    """How it ended, as far as is known now."""
    reconciled: Reconciled | None = None


class Unsettled(Page[UnsettledRow]):
    """Outcomes to reconcile, oldest first. `total` counts tool calls."""

    model_calls: int = 0
    """Model calls whose outcome nobody knows: they change nothing outside, and are only counted."""


class Reconcile(Sent):
    """Say how an action ended of which nobody knew."""

    status: Literal["succeeded", "failed"]
    reason: Reason
    """How the person knows."""
