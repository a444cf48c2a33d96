"""What needs a person of what was stopped: locks, incidents, breakers; pure rules over rows."""

from __future__ import annotations

from watchkeeper.api.needs import weigh
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.words import count
from watchkeeper.wire.breakers import BreakerRow
from watchkeeper.wire.incidents import IncidentRow
from watchkeeper.wire.locks import LockRow
from watchkeeper.wire.plane import Need

_GRAVITY = {"low": 12, "medium": 22, "high": 45, "critical": 90}
_LOCK_STANDS_US = 8 * 3600 * MICROSECONDS


def from_lock(row: LockRow, now: int, *, mine: bool) -> Need:
    """A lock is in force; one with an unconfirmed effect is the more pressing."""
    unconfirmed = [
        r.effect if r.party == "plane" else f"{r.effect} ({r.party})"
        for r in row.receipts
        if r.state == "unconfirmed"
    ]
    open_effects = list(dict.fromkeys(unconfirmed))
    everything = row.target.kind in ("everything", "unknown")
    name = "" if row.target.kind == "everything" else f" {row.target.name}"
    text = (
        f"{row.mode} on {row.target.kind}{name} by {row.by.removeprefix('person/')}: {row.reason}"
    )
    old = now - row.created_at > _LOCK_STANDS_US
    score = 120 if open_effects else (85 if everything else 40 if old else 20)
    todo = "lift it when it is safe"
    if open_effects:
        todo = f"check by hand: {', '.join(open_effects)}"
    return Need(
        need=f"lock/{row.lock}",
        kind="lock",
        subject=row.lock,
        score=weigh(score, mine),
        risk="high" if open_effects or everything else "medium",
        text=text,
        todo=todo,
        since=row.created_at,
        agent=row.target.name if row.target.kind == "agent" else None,
        mine=mine,
    )


def from_incident(row: IncidentRow, now: int, *, mine: bool) -> Need:
    """An incident is open: the graver, and the more of it nobody knows, the more pressing."""
    score = _GRAVITY[row.severity] + (40 if row.unknown else 0)
    unknown = f", {count(row.unknown, 'outcome')} unknown" if row.unknown else ""
    locks = f"{row.in_force} of {count(len(row.targets), 'lock')} in force"
    todo = "settle what is unknown" if row.unknown else "note what you find"
    return Need(
        need=f"incident/{row.incident}",
        kind="incident",
        subject=row.incident,
        score=weigh(score, mine),
        risk=row.severity,
        text=f"incident of {row.owner}: {row.title} ({locks}{unknown})",
        todo=f"{todo}, then close it with its report",
        since=row.opened_at,
        mine=mine,
    )


def from_breaker(row: BreakerRow, now: int, *, mine: bool) -> Need | None:
    """A breaker stopped or slowed an agent; one that only a person closes is the more pressing."""
    if row.state == "closed":
        return None
    does = "paused" if row.does == "pause" else "slowed down"
    refused = f", {row.refused:,} calls refused since" if row.refused else ""
    waits = row.state == "open" and row.probes_at is None
    todo = "find out why, then close it"
    if not waits:
        todo += ", or leave it to its probe"
    return Need(
        need=f"breaker/{row.breaker}",
        kind="breaker",
        subject=row.breaker,
        score=weigh(125 if waits else 95, mine),
        risk="high",
        text=f"breaker {row.breaker} {does} {row.agent} ({row.detector}): {row.reason}{refused}",
        todo=todo,
        due_at=row.probes_at if row.probes_at and row.probes_at > now else None,
        since=row.opened_at or now,
        agent=row.agent,
        mine=mine,
    )
