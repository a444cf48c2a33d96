"""Breakers: what trips, why, and how it is reset."""

from __future__ import annotations

from typing import Literal

from watchkeeper.wire.base import Reason, Sent, Shown

Detector = Literal["cost", "rate", "loop", "errors", "burn"]
BreakerState = Literal["closed", "open", "half-open"]


class BreakerRow(Shown):
    """The breaker of one version of an agent under one `breaker` document."""

    breaker: str
    """Id: `DOCUMENT/AGENT`."""
    team: str = ""
    """The team that owns the agent."""
    agent: str
    version: int
    state: BreakerState
    does: Literal["pause", "throttle"]
    detector: Detector | None = None
    """What tripped it last."""
    reason: str = ""
    """With the figures: what was seen, against what baseline."""
    run: str | None = None
    """The run that showed it."""
    opened_at: int | None = None
    probes_at: int | None = None
    """From when on one call may pass as a probe; None: closed, or a person resets it."""
    probe: str | None = None
    """The decision of the probe that is under way."""
    detectors: tuple[Detector, ...] = ()
    """What may trip it."""
    trips: int = 0
    """In the last day."""
    refused: int = 0
    """Calls since it opened."""
    calls: int = 0
    """Calls in its baseline of cost."""
    baseline_calls: int = 0
    """How many the baseline takes."""
    median_cost_micros: int | None = None
    """What a call of the version costs by its baseline."""
    calls_per_minute: float | None = None


class BreakerReset(Sent):
    """Close a breaker by hand."""

    reason: Reason
