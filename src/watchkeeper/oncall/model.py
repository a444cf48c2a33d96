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

StepKind = Literal["remind", "escalate", "repeat", "resume", "timeout"]


@dataclass(frozen=True, slots=True)
class Level:
    """A role, and how many seconds after the round began it is asked; a channel that is told.

    Without a role it asks nobody: only its channel is told.
    """

    role: str
    after_seconds: int = 0
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class EscalationPolicy:
    """Who is asked in turn, how often reminded (seconds), and how often it all begins again.

    Raises :class:`Invalid` unless the levels start at 0 seconds with a role, and rise.
    """

    levels: tuple[Level, ...]
    remind_every_seconds: int | None = None
    name: str = ""
    repeat: int = 0
    repeat_after_seconds: int | None = None
    """How long after the last level; None: the pause before the last level."""
    acknowledge_seconds: int = 900
    skip_if_empty: bool = False

    def __post_init__(self) -> None:
        delays = [level.after_seconds for level in self.levels]
        rising = all(later > earlier for earlier, later in itertools.pairwise(delays))
        if not delays or delays[0] != 0 or not rising:
            raise Invalid(
                "escalation levels must start at 0 seconds and rise",
                remedy="give the first level after_seconds 0 and each later one more",
            )
        if not self.levels[0].role:
            raise Invalid("the first level needs a role: somebody has to decide")
        if self.remind_every_seconds is not None and self.remind_every_seconds < 1:
            raise Invalid("remind_every_seconds must be at least 1")
        if self.repeat and self.round_seconds <= delays[-1]:
            raise Invalid(
                "a policy of one level that repeats needs repeat_after_seconds",
                remedy="say how long after its last level it begins again",
            )

    @property
    def rounds(self) -> int:
        """How often it begins at most."""
        return self.repeat + 1

    @property
    def round_seconds(self) -> int:
        """How long a round takes that is followed by another."""
        delays = [level.after_seconds for level in self.levels]
        last_pause = delays[-1] - delays[-2] if len(delays) > 1 else 0
        return delays[-1] + (self.repeat_after_seconds or last_pause)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a request has come: its level (from 1), since when, reminders at that level.

    `counts_from` is when the round began, later by every pause that somebody's "I am on it"
    made; levels are asked so many seconds after it.
    """

    level: int
    entered_at: int
    reminders: int = 0
    round: int = 1
    counts_from: int = 0
    acknowledged_until: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What happens next, when (microseconds), and the level from then on."""

    kind: StepKind
    due_at: int
    level: int


@dataclass(frozen=True, slots=True)
class Holders:
    """Who holds a role at a time: people by name, or any known person."""

    people: tuple[str, ...] = ()
    anyone: bool = False

    def __bool__(self) -> bool:
        return self.anyone or bool(self.people)


@dataclass(frozen=True, slots=True)
class Entry:
    """The level that is entered, counted from 1, and those passed over on the way."""

    level: int
    passed: tuple[int, ...] = ()
    empty: bool = False
    """Whether nobody holds it either: there was none left to go on to."""
