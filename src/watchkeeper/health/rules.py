"""How a run does, told from its signs and the time alone: pure rules.

Only a sign or time changes what a run is. Time alone makes it worse, never better: an alarm ends
with a sign, or with the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.durations import duration_text
from watchkeeper.health.model import (
    MISSED_HEARTBEATS,
    SILENT_SECONDS,
    STUCK_SECONDS,
    WORKING_SECONDS,
    Assessed,
    Facts,
    Limits,
)
from watchkeeper.wire.health import AILING, Health

LEAST_SAME = 5
"""How often the same call makes it the same call again and again."""
MOST_SAME = 1000
"""So many of the same are too many, however short a time they took."""
_BEST: tuple[Health, ...] = ("working", "quiet", "stuck", "silent", "lost")


def limits_of(
    *,
    heartbeat_seconds: int | None = None,
    silent_after_seconds: int | None = None,
    stuck_after_seconds: int | None = None,
) -> Limits:
    """Return the limits that a contract sets, with what holds where it says nothing."""
    silent = silent_after_seconds
    working = WORKING_SECONDS * MICROSECONDS
    if heartbeat_seconds is not None:
        silent = silent or MISSED_HEARTBEATS * heartbeat_seconds
        working = heartbeat_seconds * MICROSECONDS * 3 // 2
    silent_us = (silent or SILENT_SECONDS) * MICROSECONDS
    stuck = stuck_after_seconds or STUCK_SECONDS
    return Limits(min(working, silent_us), silent_us, stuck * MICROSECONDS)


def assess(facts: Facts, limits: Limits, now: int) -> Assessed:
    """Say how a run does at a time that none of its facts is later than."""
    heard = _heard(facts, limits, now)
    if facts.missing_at is not None and facts.missing_at > facts.sign_at:
        return Assessed("lost", "its runtime does not know it any more", facts.missing_at, None)
    if facts.excuse is not None and not _was_ailing(facts, limits, facts.excuse.since):
        return Assessed("quiet", facts.excuse.why, facts.excuse.since, now + limits.silent)
    turns = _turns(facts, limits, heard)
    next_at = min((turn for turn in turns if turn > now), default=None)
    pending = facts.pending
    silence = now - heard
    if silence >= limits.silent:
        lost = silence >= limits.lost
        since = heard + (limits.lost if lost else limits.silent)
        why = f"no sign for {duration_text(limits.lost if lost else limits.silent)}"
        return Assessed("lost" if lost else "silent", why, since, next_at)
    if (stuck := _stuck(facts, limits, now)) is not None:
        return Assessed("stuck", stuck[0], stuck[1], next_at)
    if pending is not None and now < pending.until:
        return Assessed("working", f"performs {pending.name}", facts.sign_at, next_at)
    health: Health = "working" if silence < limits.working else "quiet"
    return Assessed(health, "", facts.sign_at, next_at)


def best(healths: Iterable[Health]) -> Health | None:
    """Return how the best of an agent's runs does: as long as one lives, so does the agent."""
    return min(healths, key=_BEST.index, default=None)


def _heard(facts: Facts, limits: Limits, now: int) -> int:
    """Return from when on silence counts."""
    heard = max(facts.sign_at, facts.excused_at)
    if facts.answered is not None:
        heard = max(heard, facts.answered.at)
    if facts.pending is not None:
        # while a call may take its time nothing else is expected
        heard = max(heard, min(facts.pending.until, now))
    return heard


def _was_ailing(facts: Facts, limits: Limits, at: int) -> bool:
    """Tell whether a run ailed already when its excuse began: then that ends no alarm."""
    same = replace(facts.same, count=min(facts.same.count, MOST_SAME - 1)) if facts.same else None
    return assess(replace(facts, excuse=None, same=same), limits, at).health in AILING


def _stuck(facts: Facts, limits: Limits, now: int) -> tuple[str, int] | None:
    """Return why a run that lives gets nowhere, and since when."""
    same = facts.same
    if same is not None and same.count >= LEAST_SAME:
        if now - same.since >= limits.stuck:
            lasts = duration_text(limits.stuck)
            return f"{same.name} again and again, for {lasts}", same.since + limits.stuck
        if same.count >= MOST_SAME:
            return f"{same.name} again and again, {MOST_SAME:,} times", facts.sign_at
    pending = facts.pending
    if pending is not None and facts.sign_at > pending.until:
        since = max(pending.until, facts.progress_at + limits.stuck)
        if now >= since:
            return f"{pending.name} should have ended, and nothing else did since", since
    answered = facts.answered
    if answered is not None and facts.sign_at > answered.at <= now - limits.stuck:
        why = f"it waits for an answer about {answered.name}, which was given"
        return why, answered.at + limits.stuck
    return None


def _turns(facts: Facts, limits: Limits, heard: int) -> Iterable[int]:
    """Yield the times at which the rules may say something else without a sign."""
    yield heard + limits.silent
    yield heard + limits.lost
    if facts.same is not None:
        yield facts.same.since + limits.stuck
    if facts.pending is not None:
        yield facts.pending.until
        yield facts.pending.until + limits.silent
        yield facts.pending.until + limits.lost
        yield max(facts.pending.until, facts.progress_at + limits.stuck)
    if facts.answered is not None:
        yield facts.answered.at + limits.stuck
