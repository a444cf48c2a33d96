"""Locks: kills and pauses, their blast radius and their receipts."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from watchkeeper.wire.base import Reason, Sent, Shown

TargetKind = Literal[
    "run", "agent", "version", "tool", "upstream", "model", "provider", "team", "person",
    "runtime", "workflow", "approval", "everything",
]  # fmt: skip
"""A version is named `AGENT@NUMBER`, an approval by its request."""
TARGET_KINDS: tuple[TargetKind, ...] = get_args(TargetKind)
ShownKind = TargetKind | Literal["unknown"]
Mode = Literal["stop", "drain", "deny-new", "pause"]
"""stop: what runs is cut and ended, nothing new begins. drain: nothing new begins, what is in
flight ends by itself, then its runs end. deny-new: no new run is opened; those that are open go
on (of what opens no runs, as a tool: nothing new is done with it). pause: refused until the lock
is lifted; runs and tokens stay.
"""
ENDS: frozenset[Mode] = frozenset({"stop", "drain"})
"""What ends runs for good, at once or once they are idle."""
Effect = Literal[
    "stop run", "revoke access", "freeze memory", "prevent retries", "block delegation",
    "preserve traces", "notify owner", "safe state",
]  # fmt: skip
EFFECTS: tuple[Effect, ...] = get_args(Effect)
ReceiptState = Literal["attempted", "acknowledged", "unconfirmed", "not supported"]
"""attempted: told, and within its time to answer; unconfirmed: that time has passed."""
OPEN: frozenset[ReceiptState] = frozenset({"attempted", "unconfirmed"})
"""Receipts that are waited for."""


def target_words(kind: ShownKind, name: str) -> str:
    """Say what a lock covers."""
    return "everything" if kind == "everything" else f"{kind} {name}"


class Target(Sent):
    """What a lock covers; literal names only. `name` is `*` for everything."""

    kind: TargetKind
    name: str = Field(max_length=200)

    @property
    def words(self) -> str:
        """What it covers, in words."""
        return target_words(self.kind, self.name)


class UnknownTarget(Shown):
    """What only a newer plane on the same store can tell: until that runs, all there is."""

    kind: Literal["unknown"] = "unknown"
    name: str

    @property
    def words(self) -> str:
        """What it covers, in words."""
        return target_words(self.kind, self.name)


ShownTarget = Target | UnknownTarget


class BlastRadius(Shown):
    """What a lock on this target would stop, counted now."""

    target: Target
    agents: tuple[str, ...]
    open_runs: int
    in_flight: int
    pending_requests: int
    live_holds_micros: int
    child_runs: int = 0
    """Of the open runs, those that other agents opened."""
    runtimes: tuple[str, ...] = ()
    """Where runs are told to stop too."""
    told: tuple[str, ...]
    """Roles and people who will be told."""
    confirmation: Literal["enter", "name", "word"]
    """How a person confirms: enter for a run, typed name for an agent, typed word for more."""
    confirm_text: str
    """What must be typed; empty for `enter`."""
    wider: tuple[Target, ...] = ()
    """Wider targets one key away, as run → agent → team → everything."""
    known: bool = True
    """Whether anything here is called so; of people that is not told."""


class Lock(Sent):
    """Put a kill or pause in force."""

    target: Target
    mode: Mode = "stop"
    reason: Reason
    expires_in_seconds: int | None = Field(None, ge=1, le=366 * 86_400)
    """After so long the plane lifts it; never: a person does."""
    incident: str | None = Field(None, max_length=100)
    """The open incident that it belongs to. Else a stop or a drain joins the one that it widens,
    or opens one. That it can't belong there keeps no lock from coming into force."""


class Receipt(Shown):
    """What one effect of a lock achieved, with one party to it."""

    effect: Effect
    party: str = "plane"
    """Who carries it out: `plane`, `calls` (those in flight), `runtime/NAME`, `upstream/NAME`,
    `role/NAME`.
    """
    state: ReceiptState
    detail: str
    at: int
    """When it was last heard of."""
    after_ms: float
    """Milliseconds from the lock's creation."""
    by: str | None = None
    """Who acknowledged it."""
    deadline: int | None = None
    """Until when it may stay attempted."""
    attempts: int = 1


class LockRow(Shown):
    """A lock, in force or lifted."""

    lock: str
    target: ShownTarget
    mode: Mode
    reason: str
    by: str
    epoch: int
    created_at: int
    expires_at: int | None = None
    lifted_at: int | None = None
    lifted_by: str | None = None
    receipts: tuple[Receipt, ...] = ()
    incident: str | None = None
    """The incident that it belongs to."""


class Lift(Sent):
    """End a lock."""

    reason: Reason
