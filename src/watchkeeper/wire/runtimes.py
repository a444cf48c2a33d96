"""Runtimes where agents' work runs, what runs there, and what a runtime can be told to do."""

from __future__ import annotations

from typing import Literal

from watchkeeper.wire.base import Name, Reason, Sent, Shown

RuntimeKind = Literal["langgraph", "llamaindex", "a2a", "adk", "http", "process"]
RunState = Literal[
    "pending", "running", "waiting", "paused", "done", "failed", "stopped", "unknown"
]  # fmt: skip
"""Of a run in its runtime. A state that the plane does not know is `unknown`, never `done`."""
ENDED: frozenset[RunState] = frozenset({"done", "failed", "stopped"})
Verb = Literal["list", "inspect", "stop", "stop all", "pause", "resume", "answer"]
RuntimeHealth = Literal["ok", "degraded", "down", "unknown"]
Standing = Literal["ours", "adopted", "rogue"]
"""Whether an envelope covers a run that was found: opened here, taken over by a person, or not."""
StopResult = Literal["done", "already done", "not supported", "unconfirmed"]
"""`done`: what was asked of it is so; `unconfirmed`: it was told, and does not say that it is."""
AnswerResult = Literal["applied", "already answered", "gone", "not supported", "failed"]


class RuntimeAgent(Shown):
    """One agent that a runtime offers, and which of ours that is."""

    id: str
    name: str
    agent: Name | None = None
    """The registered agent it is; None: nobody said, and its runs are rogue."""


class RuntimeRow(Shown):
    """A runtime and how it does."""

    runtime: Name
    kind: RuntimeKind
    url: str | None = None
    owner: str | None = None
    health: RuntimeHealth
    problem: str | None = None
    version: str | None = None
    latency_ms: float | None = None
    seen_at: int | None = None
    """When it last answered, in microseconds."""
    looked_at: int | None = None
    """When it was last asked."""
    age_seconds: int | None = None
    """How old what is said here of its runs is; None: it never said."""
    can: tuple[Verb, ...]
    cannot: tuple[Verb, ...]
    """What its kind does not offer: the gateways cover it."""
    agents: tuple[RuntimeAgent, ...] = ()
    running: int = 0
    waiting: int = 0
    rogue: int = 0
    complete: bool = True
    """False where it has more runs than are listed here."""


class RemoteRunRow(Shown):
    """A run as its runtime tells of it. Every text in it comes from there."""

    runtime: Name
    id: str
    thread: str | None = None
    offered: str | None = None
    """The agent as the runtime calls it."""
    agent: Name | None = None
    run: str | None = None
    """The run of ours that covers it."""
    standing: Standing
    state: RunState
    said: str | None = None
    """The runtime's own word for its state."""
    waiting_on: str | None = None
    request: str | None = None
    """The approval request that its interrupt waits in."""
    started_at: int | None = None
    updated_at: int | None = None
    first_seen_at: int
    seen_at: int
    """When its runtime last told of it."""
    ended_at: int | None = None
    lost_at: int | None = None
    """Since when nobody expects it back: its runtime does not know it, nor how it ended."""
    why: str | None = None
    """Why no envelope covers it."""
    adopted_by: str | None = None
    adopted_at: int | None = None
    reason: str | None = None
    """Why it was adopted."""


class Adopt(Sent):
    """Take a rogue run over: from now on it is an agent's own work, and its runtime's."""

    agent: Name
    reason: Reason


class StopRemote(Sent):
    """Stop a run in its runtime."""

    reason: Reason
    now: bool = True
    """Without the grace that a supervised process has to end by itself; others have none."""


class TellRemote(Sent):
    """Pause or resume a run in its runtime."""

    reason: Reason


class RemoteStop(Shown):
    """What came of telling a runtime to stop, pause or resume a run."""

    result: StopResult
    detail: str
    state: RunState
