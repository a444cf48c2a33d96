"""Drills: a kill rehearsed without effect, and the report that is kept of it."""

from __future__ import annotations

from watchkeeper.wire.base import Reason, Sent, Shown
from watchkeeper.wire.locks import BlastRadius, Effect, Mode, ReceiptState, Target


class HoldDrill(Sent):
    """Rehearse a lock; nothing is stopped, and nobody is told."""

    target: Target
    mode: Mode = "stop"
    reason: Reason


class DrillEffect(Shown):
    """One effect as it would be, with one party to it."""

    effect: Effect
    party: str
    state: ReceiptState
    """`attempted`: it would be told, and its answer is not known before."""
    detail: str
    reachable: bool | None = None
    """Whether it answers now; None: nobody is asked, or it can't be asked without effect."""
    after_ms: float | None = None
    """How long its answer took."""


class DrillPerson(Shown):
    """Somebody who would be told."""

    role: str
    person: str
    contact: str | None = None
    """The channel by which; None: nobody could reach them."""


class DrillAction(Shown):
    """An action that the lock would not refuse."""

    agent: str
    run: str | None = None
    """None: the next run that the agent would open."""
    kind: str
    name: str
    verdict: str
    rule: str
    reason: str


class DrillRow(Shown):
    """A drill that was held."""

    drill: str
    target: Target
    mode: Mode
    by: str
    at: int
    reason: str
    runs: int
    """Open runs whose next calls were put to the decision path."""
    checked: int
    """Calls that were."""
    refused: int
    """Of these, by the rehearsed lock."""
    findings: int
    """What would not go as it should."""
    lock_ms: float
    decide_ms: float
    """The longest that a refusal took to decide."""
    digest: str
    """Of the report; the event `drill.held` has it too."""
    sequence: int
    """That event."""


class DrillReport(Shown):
    """What a rehearsal found. Its canonical JSON is what the digest is of."""

    target: Target
    mode: Mode
    by: str
    reason: str
    at: int
    sequence: int
    """The newest event that it takes in."""
    radius: BlastRadius
    effects: tuple[DrillEffect, ...]
    told: tuple[DrillPerson, ...]
    nobody: tuple[str, ...] = ()
    """Roles that nobody holds who could be reached."""
    agents: int
    """Agents whose next run was asked for."""
    runs: int
    checked: int
    refused: int
    refused_by: dict[str, int]
    """Rule → calls that it refused; the rehearsed lock is `lock/rehearsed`."""
    passing: tuple[DrillAction, ...] = ()
    """What it would not refuse; of many, the first 50."""
    passing_count: int = 0
    left_out: int = 0
    """Calls that were not looked at, of more than are."""
    lock_ms: float
    """Everything that the lock does in the store, which was then undone: without the commit."""
    turn_ms: float
    """From asking the store until it was undone: with the waiting for a turn."""
    decide_ms_median: float
    decide_ms_longest: float
    findings: tuple[str, ...] = ()
    """What would not go as it should, in words."""


class DrillDetail(DrillRow):
    """A drill with its report."""

    report: DrillReport
