"""What the detectors are told, what they look for, and what they raise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from watchkeeper.wire.breakers import BreakerState, Detector

Result = Literal["succeeded", "failed", "unknown"]


class Jump(Protocol):
    """A sudden rise that is looked for."""

    @property
    def factor(self) -> float:
        """How many times what is usual."""
        ...

    @property
    def baseline_calls(self) -> int:
        """How many calls say what is usual."""
        ...


class Loop(Protocol):
    """The same again and again that is looked for."""

    @property
    def repeats(self) -> int:
        """How often the same call."""
        ...

    @property
    def longest_round(self) -> int:
        """How many calls a round has at most."""
        ...

    @property
    def window_seconds(self) -> int:
        """Within which time."""
        ...


class Storm(Protocol):
    """Failures that are looked for."""

    @property
    def share(self) -> float:
        """Which share of the calls."""
        ...

    @property
    def calls(self) -> int:
        """Of how many."""
        ...


class Burn(Protocol):
    """A budget used up too fast."""

    @property
    def times(self) -> float:
        """How many times faster than evenly."""
        ...

    @property
    def long_minutes(self) -> int:
        """The window that shows that it lasts."""
        ...

    @property
    def short_minutes(self) -> int:
        """The window that shows that it goes on."""
        ...


class Detectors(Protocol):
    """What one `breaker` document looks for."""

    @property
    def cost(self) -> Jump | None:
        """What model calls cost."""
        ...

    @property
    def rate(self) -> Jump | None:
        """How fast calls follow each other."""
        ...

    @property
    def loop(self) -> Loop | None:
        """The same again and again."""
        ...

    @property
    def errors(self) -> Storm | None:
        """Calls that fail."""
        ...

    @property
    def burn(self) -> Burn | None:
        """Budgets that are used up too fast."""
        ...


@dataclass(frozen=True, slots=True)
class Permitted:
    """A call that was let pass. Time in microseconds."""

    at: int
    run: str
    kind: Literal["tool", "model"]
    name: str
    digest: str
    """Of what is called and with what."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call ended, and what it used of what budgets cap, by measure."""

    at: int
    run: str
    kind: Literal["tool", "model"]
    result: Result
    cost_micros: int
    used: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Budget:
    """A cap over an agent for a time; what the agent alone uses of it is looked at."""

    name: str
    measure: str
    cap: int
    period: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """A detector's, with the figures in words."""

    detector: Detector
    reason: str
    run: str | None
    about: str | None = None
    """The digest of the call that went round and round: no such call is a probe."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the breaker of one agent under one document stands. Times in microseconds."""

    breaker: str
    document: str
    agent: str
    version: int
    """Of the agent that tripped it."""
    state: BreakerState
    detector: Detector | None = None
    reason: str = ""
    run: str | None = None
    about: str | None = None
    opened_at: int | None = None
    """When it tripped."""
    since: int | None = None
    """From when on it cools down: when it tripped, or its last probe failed."""
    probe: str | None = None
    """The decision of the probe under way."""
    refused: int = 0
    trips: int = 0


def breaker_id(document: str, agent: str) -> str:
    """Name the breaker of an agent under a document."""
    return f"{document}/{agent}"
