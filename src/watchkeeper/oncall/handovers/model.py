"""A hand-over as it is given, and who asks to acknowledge one."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import Any

from watchkeeper.core.digest import digest
from watchkeeper.core.errors import Invalid


@dataclass(frozen=True, slots=True, kw_only=True)
class NewHandover:
    """What one person tells the next of a watch; exactly one of `role` and `schedule` names it.

    People by plain name, times in microseconds. `sections` is JSON of what the plane found,
    `sequence` the newest event that `text` was written from, `edited` whether a person changed it.
    """

    role: str | None
    schedule: str | None
    by: str
    to: str | None
    next: tuple[str, ...]
    since: int
    due_at: int
    sequence: int
    text: str
    edited: bool
    sections: str

    def __post_init__(self) -> None:
        if (self.role is None) == (self.schedule is None):
            raise Invalid("name either a role or a schedule", where="role, schedule")

    @property
    def watch(self) -> str:
        """What is handed over, in words."""
        return self.role or f"schedule {self.schedule}"

    def digest(self, handover: str, given_at: int) -> str:
        """Return what an acknowledgement is bound to: all of it."""
        covered: dict[str, Any] = {
            "by": self.by,
            "due_at": self.due_at,
            "edited": self.edited,
            "given_at": given_at,
            "handover": handover,
            "next": list(self.next),
            "role": self.role,
            "schedule": self.schedule,
            "sections": self.sections,
            "sequence": self.sequence,
            "since": self.since,
            "text": self.text,
            "to": self.to,
        }
        return digest("watchkeeper/handover/v1", covered)


@dataclass(frozen=True, slots=True)
class Taker:
    """Who would acknowledge: by plain name, with all their names, and the watches they hold."""

    person: str
    names: Set[str]
    """Every plain name of theirs; an alias is no other person."""
    holds: bool
    """Whether they hold the role, or are on call in the schedule, now."""
