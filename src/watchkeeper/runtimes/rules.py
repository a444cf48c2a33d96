"""When a runtime is asked next, how it does, and what of its runs is governed: pure rules."""

from __future__ import annotations

from dataclasses import dataclass, replace

from watchkeeper.core.clock import LAST_AT, MICROSECONDS
from watchkeeper.core.text import make_safe
from watchkeeper.registry.runtimes import Runtime
from watchkeeper.runtimes.model import RemoteRun
from watchkeeper.wire.runtimes import RunState, RuntimeHealth

LONGEST_BACKOFF_SECONDS = 300
LOST_SECONDS = 120
"""So long a run may be unknown to its runtime before nobody expects it back."""
LONGEST_ID = 200
_DOWN_AFTER = 2
"""Failures in a row; one alone may be a hiccup."""
_SLOW_US = 2 * MICROSECONDS
_OLD_POLLS = 5
_LATE_SECONDS = 30


def next_poll_at(now: int, *, seconds: int, failures: int, fraction: float) -> int:
    """Return when to ask a runtime next: ever later while it fails, never in step with others.

    `fraction` is a number from 0 up to 1 by chance.
    """
    wait = seconds << min(failures, 10)
    wait = min(wait, max(seconds, LONGEST_BACKOFF_SECONDS))
    return now + round(wait * (0.8 + 0.2 * fraction) * MICROSECONDS)


def health_of(
    *, failures: int, problem: str | None, latency_us: int | None, listed: bool
) -> RuntimeHealth:
    """Return how a runtime does that was just asked.

    degraded: it answers, but slowly, not to everything, or not every time.
    """
    if failures >= _DOWN_AFTER and not listed:
        return "down"
    if failures or problem is not None or not listed:
        return "degraded"
    return "degraded" if latency_us is not None and latency_us > _SLOW_US else "ok"


def health_now(
    health: RuntimeHealth, *, looked_at: int | None, now: int, poll_seconds: int
) -> RuntimeHealth:
    """Return how a runtime does, as far as is known: what is long past says nothing of now."""
    if looked_at is None:
        return "unknown"
    age = now - looked_at
    longest = max(_OLD_POLLS * poll_seconds, _LATE_SECONDS)
    if health == "down":
        longest += LONGEST_BACKOFF_SECONDS
    return health if age <= longest * MICROSECONDS else "unknown"


def agent_of(document: Runtime, offered: str | None) -> str | None:
    """Return the registered agent that one of a runtime's is; None: nobody said.

    Where the runtime does not say which of its agents runs, and has one only, it is that.
    """
    if offered is None:
        return document.agents[0].agent if len(document.agents) == 1 else None
    return next((one.agent for one in document.agents if one.id == offered), None)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A run of ours, as far as it tells whether it covers one elsewhere."""

    run: str
    agent: str
    closed_at: int | None


def why_rogue(
    run: RemoteRun, agent: str | None, envelope: Envelope | None, *, first_seen_at: int
) -> str | None:
    """Say why no envelope covers a run, or return None.

    Where its runtime does not say when it began, that was when it was first seen.
    """
    if agent is None:
        what = f"its agent {run.offered!r:.80}" if run.offered else "its agent"
        return f"{what} is not among the agents of the runtime's document"
    if run.our_run is None:
        return "it names no run that was opened here"
    if envelope is None:
        return "the run that it names was never opened here"
    if envelope.agent != agent:
        return f"the run that it names is one of {envelope.agent}, not of {agent}"
    began = run.started_at if run.started_at is not None else first_seen_at
    if envelope.closed_at is not None and began > envelope.closed_at:
        return "the run that it names had ended before it began"
    return None


def usable(run: RemoteRun) -> bool:
    """Tell whether a run can be named here: its id is short and can be printed."""
    return 0 < len(run.id) <= LONGEST_ID and run.id.isprintable()


def is_lost(missing_since: int | None, now: int) -> bool:
    """Tell whether nobody expects a run back that its runtime does not know."""
    return missing_since is not None and now - missing_since >= LOST_SECONDS * MICROSECONDS


def bounded(run: RemoteRun) -> RemoteRun:
    """Return a run with every text cut to what is kept of it, and times that can be kept."""
    return replace(
        run,
        said=_text(run.said) or "",
        thread=_text(run.thread),
        offered=_text(run.offered),
        our_run=_text(run.our_run),
        started_at=_time(run.started_at),
        updated_at=_time(run.updated_at),
    )


def _text(text: str | None) -> str | None:
    return str(make_safe(text, limit=LONGEST_ID)) if text else None


def _time(at: int | None) -> int | None:
    return at if at is not None and 0 <= at <= LAST_AT else None


PAUSABLE: frozenset[RunState] = frozenset({"pending", "running"})
"""States in which a run can be held where it is."""
