"""What may happen to an incident when, and how grave it is: pure rules."""

from __future__ import annotations

from typing import Literal

from watchkeeper.core.errors import Conflict
from watchkeeper.wire.incidents import SEVERITIES, IncidentState, Severity
from watchkeeper.wire.locks import TargetKind

Happens = Literal["note", "join", "close", "reopen"]
_NEXT: dict[tuple[IncidentState, Happens], IncidentState] = {
    ("open", "note"): "open",
    ("open", "join"): "open",
    ("open", "close"): "closed",
    ("closed", "note"): "closed",
    ("closed", "reopen"): "open",
}
_WHY_NOT: dict[tuple[IncidentState, Happens], tuple[str, str]] = {
    ("closed", "join"): ("it is closed", "open it again first: `watchkeeper incidents reopen`"),
    ("closed", "close"): ("it is closed already", "nothing to do"),
    ("open", "reopen"): ("it is open", "nothing to do"),
}
_SEVERITY: dict[TargetKind, Severity] = {
    "run": "low",
    "approval": "low",
    "everything": "critical",
    "team": "high",
    "runtime": "high",
    "upstream": "high",
    "provider": "high",
    "person": "high",
}


def after(state: IncidentState, happens: Happens) -> IncidentState:
    """Return the state that follows; raise `Conflict` where that can't happen in this one."""
    found = _NEXT.get((state, happens))
    if found is None:
        why, remedy = _WHY_NOT[state, happens]
        raise Conflict(why, code=f"incident_{state}", remedy=remedy)
    return found


def severity_of(kind: TargetKind) -> Severity:
    """Return how grave a stop of such a target is, until a person says otherwise."""
    return _SEVERITY.get(kind, "medium")


def graver(one: Severity, other: Severity) -> Severity:
    """Return the graver of two."""
    return max(one, other, key=SEVERITIES.index)
