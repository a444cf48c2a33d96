"""How a breaker goes from closed to open, to half-open, and back: pure rules.

    closed --alarm--> open --cooled down, one call--> half-open --went well--> closed
                       ^                                  |
                       +------- failed, or lost ----------+

A person closes it from any state. Each rule returns the new standing, or None where it does not
apply: of two who act on the same standing, the second finds it changed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from watchkeeper.breakers.model import Alarm, Standing
from watchkeeper.core.clock import MICROSECONDS

PROBE_SECONDS = 900
"""How long a probe may take; then it is lost, and another call may be one."""


def trip(was: Standing, alarm: Alarm, *, version: int, at: int) -> Standing | None:
    """Open a closed breaker."""
    if was.state != "closed":
        return None
    return replace(
        was,
        version=version,
        state="open",
        detector=alarm.detector,
        reason=alarm.reason,
        run=alarm.run,
        about=alarm.about,
        opened_at=at,
        since=at,
        probe=None,
        refused=0,
        trips=was.trips + 1,
    )


def probes_at(was: Standing, *, cool_down_seconds: int, reset: str) -> int | None:
    """Return from when on one call may pass as a probe; None: not before a person resets it."""
    if was.state != "open" or reset == "person" or was.since is None:
        return None
    return was.since + cool_down_seconds * MICROSECONDS


def suits(was: Standing, *, kind: Literal["tool", "model"], digest: str) -> bool:
    """Tell whether a call can show that what tripped the breaker is over.

    What model calls cost is shown by one of them; and that a loop has ended not by the call that
    went round and round.
    """
    if was.detector == "cost":
        return kind == "model"
    return was.about is None or was.about != digest


def claim(was: Standing, decision: str) -> Standing | None:
    """Let one decision pass as the probe of an open breaker."""
    return replace(was, state="half-open", probe=decision) if was.state == "open" else None


def end_probe(was: Standing, decision: str, *, well: bool, at: int) -> Standing | None:
    """Close a breaker after its probe, or open it for as long again."""
    if was.state != "half-open" or was.probe != decision:
        return None
    if well:
        return replace(was, state="closed", probe=None, since=None)
    return replace(was, state="open", probe=None, since=at)


def lose_probe(was: Standing, decision: str) -> Standing | None:
    """Open a breaker whose probe nobody reported: the next call may be another at once."""
    if was.state != "half-open" or was.probe != decision:
        return None
    return replace(was, state="open", probe=None)


def close(was: Standing) -> Standing | None:
    """Close a breaker by hand."""
    return None if was.state == "closed" else replace(was, state="closed", probe=None, since=None)
