"""Locks, what they cover, and the receipts of their effects. Times in microseconds."""

from __future__ import annotations

from dataclasses import dataclass, field

from watchkeeper.wire.locks import Effect, Mode, ReceiptState, TargetKind, target_words

PLANE = "plane"
CALLS = "calls"
"""Parties of every plane: itself, and the calls that it has in flight."""


@dataclass(frozen=True, slots=True)
class LockTarget:
    """What a lock covers; literal names only. `name` is `*` for everything."""

    kind: TargetKind
    name: str

    @property
    def words(self) -> str:
        """What it covers, in words."""
        return target_words(self.kind, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLock:
    """A lock to be put in force."""

    target: LockTarget = field(kw_only=False)
    mode: Mode
    reason: str
    by: str
    authority: int = 0
    """The rank of who locks; nobody of a lower one may lift it."""
    seconds: int | None = None
    """After so long the plane lifts it; None: a person does."""
    incident: str | None = None
    """The incident that it belongs to, if that is open."""


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
    expires_at: int | None = None


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
    upstreams: frozenset[str] = frozenset()
    """What its tool calls, or the provider for those tools."""
    version: int | None = None
    """Of the agent; None where it is not known, which no lock on a version covers."""
    persons: frozenset[str] = frozenset()
    """Every name of the person on whose behalf it is."""
    runtimes: tuple[str, ...] = ()
    """Where the agent's runs run."""
    provider: str | None = None
    """Who is asked right now; a call that has another target left is not cut before."""
    approval: str | None = None
    """The request whose grant it uses."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one effect of a lock achieved, with one party to it."""

    effect: Effect
    state: ReceiptState
    detail: str
    at: int
    party: str = PLANE
    by: str | None = None
    deadline: int | None = None
    attempts: int = 1
