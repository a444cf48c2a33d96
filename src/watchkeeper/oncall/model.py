"""Roles, escalation policies and the steps they lead to."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

from watchkeeper.core.errors import Invalid

OWNER = "owner"
"""In a role's members: the person who runs the plane."""
ANYONE = "*"
"""In a role's members: any known person. In a person's roles: every role."""

StepKind = Literal["remind", "escalate", "timeout"]


@dataclass(frozen=True, slots=True)
class Role:
    """A named group of people who may be asked; `members` are names, `owner` or `*`."""

    name: str
    members: frozenset[str]


@dataclass(frozen=True, slots=True)
class Level:
    """A role, and how many seconds after the request was made it is asked."""

    role: str
    after_seconds: int = 0


@dataclass(frozen=True, slots=True)
class EscalationPolicy:
    """Who is asked in turn, and how often whoever is asked is reminded (seconds).

    Raises :class:`Invalid` unless the levels start at 0 seconds and rise.
    """

    levels: tuple[Level, ...]
    remind_every_seconds: int | None = None

    def __post_init__(self) -> None:
        delays = [level.after_seconds for level in self.levels]
        rising = all(later > earlier for earlier, later in itertools.pairwise(delays))
        if not delays or delays[0] != 0 or not rising:
            raise Invalid(
                "escalation levels must start at 0 seconds and rise",
                remedy="give the first level after_seconds 0 and each later one more",
            )
        if self.remind_every_seconds is not None and self.remind_every_seconds < 1:
            raise Invalid("remind_every_seconds must be at least 1")


@dataclass(frozen=True, slots=True)
class Position:
    """How far a request has come: its level (from 1), since when, reminders at that level."""

    level: int
    entered_at: int
    reminders: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """What happens next, when (microseconds), and the level from then on."""

    kind: StepKind
    due_at: int
    level: int
