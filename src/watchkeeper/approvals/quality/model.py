"""One vote, one judgement and one request as the statistics look at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple


class Cast(NamedTuple):
    """One vote, with what is known of its request; times in microseconds."""

    person: str
    role: str
    tool: str
    approved: bool
    created_at: int
    decide_by: int
    at: int
    view_ms: int | None
    characters: int
    """How much there was to read."""
    undone: bool
    """It approved, and another person rejected or narrowed what it approved."""
    judged: Literal["right", "wrong"] | None
    """What was later said of the decision that it was part of."""


@dataclass(frozen=True, slots=True)
class Ends:
    """How the requests ended that asked one role or tool."""

    requests: int = 0
    expired: int = 0
    escalated: int = 0


@dataclass(frozen=True, slots=True)
class Load:
    """What waits for a person, a role or a tool."""

    pending: int = 0
    holders: int | None = None
