"""Delegations: who may vote for whom, in which roles, until when."""

from __future__ import annotations

from pydantic import Field

from watchkeeper.wire.base import Name, Reason, Sent, Shown
from watchkeeper.wire.people import PersonName

LONGEST_SECONDS = 30 * 86_400
"""How long after it is made a delegation ends at the latest."""


class DelegationRow(Shown):
    """One delegation; times in microseconds."""

    delegation: str
    giver: str
    """Whose votes they are."""
    taker: str
    """Who may cast them."""
    roles: tuple[str, ...] = ()
    """In these only; empty: in all that the giver holds."""
    starts_at: int
    ends_at: int
    made_at: int
    note: str | None = None
    ended_at: int | None = None
    """When it was ended before its time."""
    ended_by: str | None = None
    in_force: bool = False


class Delegate(Sent):
    """Let another person cast the caller's votes for a time."""

    to: PersonName
    roles: tuple[Name, ...] = Field((), max_length=50)
    """In these only; empty: in all."""
    seconds: int = Field(ge=60, le=LONGEST_SECONDS)
    """How long it lasts from its start."""
    starts_at: int | None = Field(None, ge=0)
    """Absent: now."""
    note: Reason | None = None
