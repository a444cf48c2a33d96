"""What is known of a run's life, and what follows from it. Times in microseconds."""

from __future__ import annotations

from dataclasses import dataclass

from watchkeeper.wire.health import Health

WORKING_SECONDS = 20
"""A run that gave a sign within this time is working; with heartbeats, within one and a half."""
SILENT_SECONDS = 300
"""How long an open run may be without a sign, where its contract says nothing."""
STUCK_SECONDS = 900
"""How long a run that lives may get nowhere, where its contract says nothing."""
MISSED_HEARTBEATS = 3
"""After so many a run is silent, where its contract gives no time."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long what may take."""

    working: int
    silent: int
    stuck: int

    @property
    def lost(self) -> int:
        """A run that was silent for as long again is taken for lost."""
        return 2 * self.silent


@dataclass(frozen=True, slots=True)
class Excuse:
    """Why a run is expected to be quiet for now."""

    why: str
    since: int


@dataclass(frozen=True, slots=True)
class Pending:
    """The newest call, where it is permitted and nobody said how it ended."""

    name: str
    until: int
    """When it should have ended."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The newest call, where it was held and its request has ended since."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Same:
    """The newest calls, as far as they are all the same."""

    name: str
    count: int
    since: int
    """When the run last did something else, or was opened."""


@dataclass(frozen=True, slots=True)
class Remote:
    """What the runtimes say where a run runs."""

    lost_at: int | None = None
    """When they were found not to know it any more."""
    seen_at: int | None = None
    """When they last listed it, where that is the only sign it can give."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a run did, as far as it tells whether it lives."""

    sign_at: int
    """The last sign: that it was opened, an action, its outcome, a heartbeat, a new token."""
    progress_at: int
    """When an action of it last ended, or another was asked for than before."""
    same: Same | None = None
    pending: Pending | None = None
    answered: Answered | None = None
    excuse: Excuse | None = None
    excused_at: int = 0
    """When it was last found to have an excuse, or to have it no more."""
    missing_at: int | None = None
    """When its runtime was found not to know it any more."""


@dataclass(frozen=True, slots=True)
class Assessed:
    """How a run does; `next_at`: when that may be otherwise although it gives no sign."""

    health: Health
    why: str
    since: int
    """Since when it does so: of what ails it, when that began."""
    next_at: int | None
