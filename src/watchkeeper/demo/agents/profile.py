"""What sets one agent of the fleet apart from the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

STOPPED = "the agent was stopped while it worked on this"
"""What a run is closed with when its agent is told to end."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of agent: its words to the model and its habits as a client."""

    name: str
    prompt: str
    model: str = "small-fast"
    large_from_usd: float | None = None
    """From this amount on it asks the large model."""
    speaks: Literal["chat", "responses", "messages"] = "chat"
    """In which protocol it asks models."""
    notes: str | None = None
    """A model that it asks for the same notes at the beginning of each run."""
    lavish: tuple[int, int] | None = None
    """After so many calls of a model it asks the large one for everything, so many times."""
    streams: bool = False
    era: Literal["modern", "legacy"] = "modern"
    """Which protocol revision its MCP client speaks."""
    at_once: int = 1
    """How many items it works on side by side."""
    pause_seconds: float = 2.0
    """Mean pause between two steps at pace 1."""


PROFILES = (
    Profile(
        "refund-assistant",
        "You settle refund requests. Read the ticket, look up the charge, refund what is due.",
        large_from_usd=200,
        at_once=3,
    ),
    Profile(
        "loan-origination",
        "You weigh loan applications against the lending rules and record a decision.",
        pause_seconds=3.0,
    ),
    Profile(
        "fraud-detection",
        "You look at card alerts and block cards that are plainly being emptied.",
        model="fraud-watch",
        notes="pattern-notes",
        streams=True,
        at_once=2,
    ),
    Profile(
        "customer-support",
        "You answer support tickets from the knowledge base.",
        model="careful-letters",
        speaks="messages",
        streams=True,
        era="legacy",
    ),
    Profile(
        "code-review",
        "You review proposed changes and comment once.",
        model="large-careful",
        speaks="responses",
        streams=True,
        pause_seconds=1.6,
    ),
    Profile(
        "recommendation",
        "You choose three products for a customer.",
        pause_seconds=1.6,
    ),
    Profile(
        "contract-summary",
        "You summarise supplier agreements for the purchasing desk.",
        model="large-careful",
        streams=True,
        at_once=2,
        pause_seconds=1.6,
    ),
    Profile(
        "cloud-operations",
        "You look at service alerts and apply the runbook's remedy.",
        lavish=(36, 12),
        era="legacy",
        at_once=2,
        pause_seconds=3.0,
    ),
)
