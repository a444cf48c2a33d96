"""Locks: kill and pause, their blast radius and their receipts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from watchkeeper.wire.base import Reason, Sent, Shown

TargetKind = Literal["run", "agent", "tool", "model", "team", "everything"]
Mode = Literal["kill", "pause"]
Effect = Literal[
    "stop run", "revoke access", "freeze memory", "prevent retries", "block delegation",
    "preserve traces", "notify owner", "safe state",
]  # fmt: skip
ReceiptState = Literal["acknowledged", "unconfirmed", "not supported"]


class Target(Sent):
    """What a lock covers; literal names only. `name` is `*` for everything."""

    kind: TargetKind
    name: str = Field(max_length=200)


class BlastRadius(Shown):
    """What a lock on this target would stop, counted now."""

    target: Target
    agents: tuple[str, ...]
    open_runs: int
    in_flight: int
    pending_requests: int
    live_holds_micros: int
    told: tuple[str, ...]
    """Roles and people who will be told."""
    confirmation: Literal["enter", "name", "word"]
    """How a person confirms: enter for a run, typed name for an agent, typed word for more."""
    confirm_text: str
    """What must be typed; empty for `enter`."""
    wider: tuple[Target, ...] = ()
    """Wider targets one key away: run → agent → team → everything."""


class Lock(Sent):
    """Put a kill or pause in force."""

    target: Target
    mode: Mode = "kill"
    reason: Reason


class Receipt(Shown):
    """What one effect of a lock achieved."""

    effect: Effect
    state: ReceiptState
    detail: str
    at: int
    after_ms: float
    """Milliseconds from the lock's creation."""


class LockRow(Shown):
    """A lock, in force or lifted."""

    lock: str
    target: Target
    mode: Mode
    reason: str
    by: str
    epoch: int
    created_at: int
    lifted_at: int | None = None
    lifted_by: str | None = None
    receipts: tuple[Receipt, ...] = ()


class Lift(Sent):
    """End a lock."""

    reason: Reason
