"""Shift hand-over: a generated summary, edited, kept, and acknowledged by who takes over."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from watchkeeper.wire.base import Name, Reason, Sent, Shown
from watchkeeper.wire.people import PersonName

HandoverState = Literal["given", "acknowledged"]

HandoverPart = Literal[
    "open", "decided", "break-glass", "ended", "locks", "budgets", "tools", "deliveries",
    "coverage", "watch-out",
]  # fmt: skip
"""open: requests that still wait; ended: those that ended without anybody's decision;
coverage: gaps in who is on call; watch-out: what rules find remarkable."""

HandoverText = Annotated[
    str, StringConstraints(min_length=1, max_length=32_000, strip_whitespace=True)
]
"""Markdown."""


class HandoverItem(Shown):
    """One thing worth knowing, with what to open for it."""

    text: str
    kind: Literal[
        "request", "agent", "run", "lock", "budget", "tool", "delivery", "schedule", "role"
    ]  # fmt: skip
    id: str
    at: int | None = None
    """When it is due, or when it happened; microseconds."""
    pressing: bool = False
    """Whether it is late, or a person has to see to it."""


class HandoverSection(Shown):
    """One part of the summary; `items` are the foremost of `total`."""

    part: HandoverPart
    title: str
    summary: str
    """The part in one line, counts first."""
    items: tuple[HandoverItem, ...] = ()
    total: int = 0


class HandoverDraft(Shown):
    """What happened since a shift began, generated now; nothing is kept of it."""

    role: str | None = None
    schedule: str | None = None
    since: int
    until: int
    """When it was generated; microseconds, as `since`."""
    sequence: int
    """The newest event it takes in."""
    by: str
    next: tuple[str, ...] = ()
    """Who takes over: on call next, or else who else holds the role; by plain name."""
    due_at: int
    """When the watch changes hands: the end of the shift, or soon where no schedule says."""
    sections: tuple[HandoverSection, ...]
    text: str
    """All of it in Markdown, to be edited."""
    digest: str
    """Of the text."""


class GiveHandover(Sent):
    """Hand the watch over: what the next person should know, as it was edited."""

    role: Name | None = None
    schedule: Name | None = None
    """Exactly one of `role` and `schedule`."""
    text: HandoverText
    to: PersonName | None = None
    """Who takes over; absent: whoever is on call next or holds the role."""
    draft: str | None = Field(None, max_length=100)
    """The digest of the draft that the text was made of."""
    sequence: int | None = Field(None, ge=0)
    """The newest event that the draft took in."""


class AcknowledgeHandover(Sent):
    """Take the watch over, having read exactly this."""

    digest: str = Field(max_length=100)
    note: Reason | None = None


class HandoverRow(Shown):
    """One hand-over in a list."""

    handover: str
    state: HandoverState
    role: str | None = None
    schedule: str | None = None
    by: str
    to: str | None = None
    since: int
    given_at: int
    due_at: int
    acknowledged_by: str | None = None
    acknowledged_at: int | None = None
    late: bool = False
    """Whether the watch has changed hands and nobody has acknowledged it."""
    digest: str
    mine: bool = False
    """Whether the caller may acknowledge it now."""
    why_not: str | None = None


class HandoverDetail(HandoverRow):
    """A hand-over as it is kept: what its giver wrote, and what that was generated from."""

    text: str
    edited: bool
    """Whether a person changed what was generated."""
    sequence: int
    """The newest event that the text was written from."""
    sections: tuple[HandoverSection, ...] = ()
    """What the plane itself found when it was given."""
    note: str | None = None
    """What was said when it was acknowledged."""
