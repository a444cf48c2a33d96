"""An incident, what it covers, and what happens to it. Times in microseconds."""

from __future__ import annotations

from dataclasses import dataclass

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.store.retention import Held
from watchkeeper.wire.incidents import Joined, Severity

LEAD = 86_400 * MICROSECONDS
"""How long before it began its timeline begins."""


@dataclass(frozen=True, slots=True)
class NewIncident:
    """An incident as its first lock opens it."""

    title: str
    severity: Severity
    owner: str
    team: str
    """The team that all of it belongs to; empty: several, or none."""
    by: str


@dataclass(frozen=True, slots=True)
class Joining:
    """A lock that comes to belong to an incident."""

    lock: str
    target: str
    """As KIND/NAME."""
    joined: Joined
    by: str
    severity: Severity
    team: str
    held: frozenset[Held]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What a note changes of what is said of an incident; None: nothing."""

    severity: Severity | None = None
    title: str | None = None
    owner: str | None = None
