"""Locks, what they cover, and the receipts of their effects."""

from __future__ import annotations

from dataclasses import dataclass

from watchkeeper.wire.locks import Effect, Mode, ReceiptState, TargetKind


@dataclass(frozen=True, slots=True)
class LockTarget:
    """What a lock covers; literal names only. `name` is `*` for everything."""

    kind: TargetKind
    name: str


@dataclass(frozen=True, slots=True)
class LockInForce:
    """A lock that has not been lifted."""

    lock: str
    target: LockTarget
    mode: Mode
    reason: str
    by: str
    epoch: int
    created_at: int


@dataclass(frozen=True, slots=True)
class Covered:
    """What an action touches, for telling which locks cover it."""

    run: str
    agent: str
    team: str
    tool: str | None = None
    model: str | None = None
    above: tuple[Covered, ...] = ()
    """The runs that its run was opened under: what covers them covers it."""
    beside: tuple[str, ...] = ()
    """Other models that answer the same call."""
    hosted: tuple[str, ...] = ()
    """Tools that a model's provider may run along with the call."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one effect of a lock achieved. Times in microseconds."""

    effect: Effect
    state: ReceiptState
    detail: str
    at: int
