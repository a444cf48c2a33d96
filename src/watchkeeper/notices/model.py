"""What people are told, how much at a time, and how the telling ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from watchkeeper.wire.decisions import Risk

Why = Literal[
    "created", "escalated", "reminded", "rerouted", "no_coverage", "break_glass", "expired",
    "lock", "handover", "budget", "breaker", "health", "rogue", "telemetry",
]  # fmt: skip
"""What happened that somebody is told of."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell one person, or one channel: what may be said outside, and no more.

    Of a request `asks` is as the ledger tells it; of anything else it is all that is said.
    """

    why: Why
    asks: str
    urgent: bool = False
    """It waits for no room: critical, or the last that is asked."""
    request: str | None = None
    agent: str = ""
    risk: Risk | None = None
    role: str = ""
    level: int = 1
    levels: int = 1
    decide_by: int | None = None
    """In microseconds."""
    quorum: str = ""
    """Who must agree, where one person is not enough."""
    reason: bool = False
    """Whether an approval needs a reason."""

    @property
    def waits(self) -> bool:
        """Whether it tells of something that can be decided still."""
        return self.request is not None and self.why not in ("expired", "break_glass")


@dataclass(frozen=True, slots=True)
class Message:
    """Plain text; `short` stands for both where a channel takes few characters."""

    title: str
    body: str
    short: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where commands in messages lead: the plane as people reach it."""

    environment: str
    connect: str = ""
    """The plane's public URL; empty: commands run on its machine."""


@dataclass(frozen=True, slots=True)
class Lane:
    """When one person was told something by one channel (microseconds), ever and urgently."""

    told_at: int | None = None
    urgent_at: int | None = None
