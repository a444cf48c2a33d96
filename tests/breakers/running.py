"""Runs of readings through the detectors of jumps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.breakers.shapes import BASELINE, FACTOR
from watchkeeper.breakers import costs, pace
from watchkeeper.core.clock import MICROSECONDS


class CostRun:
    """What model calls cost, one after the other."""

    def __init__(self, baseline: Iterable[float]) -> None:
        readings = list(baseline)
        self.calls = len(readings)
        self.state = costs.Costs()
        for reading in readings:
            self.alarmed(reading)

    def alarmed(self, reading: float) -> bool:
        """Count one in; tell whether that alarmed. After an alarm the rise is forgotten."""
        self.state = costs.step(self.state, int(reading), factor=FACTOR, baseline_calls=self.calls)
        if costs.has_risen(self.state):
            self.state = costs.settle(self.state)
            return True
        return False


class RateRun:
    """Calls at times."""

    def __init__(self, baseline: Iterable[float]) -> None:
        readings = list(baseline)
        self.calls = len(readings)
        self.at = 0
        self.state = pace.Pace()
        for reading in readings:
            self.alarmed(reading)

    def alarmed(self, reading: float) -> bool:
        """Let time pass and count a call in; tell whether that alarmed."""
        self.at += round(reading * MICROSECONDS)
        self.state = pace.step(self.state, self.at, factor=FACTOR, baseline_calls=self.calls)
        if pace.has_risen(self.state):
            self.state = pace.settle(self.state)
            return True
        return False


def delay(kind: type[CostRun] | type[RateRun], trace: Sequence[float]) -> int:
    """Return with which call after the jump the detector alarms; a thousand if with none."""
    run = kind(trace[:BASELINE])
    after = enumerate(trace[BASELINE:], 1)
    return next((n for n, reading in after if run.alarmed(reading)), 1000)


def p95(values: Iterable[float]) -> float:
    """Return what 19 of 20 values do not pass."""
    ordered = sorted(values)
    return ordered[-(-len(ordered) * 95 // 100) - 1]
