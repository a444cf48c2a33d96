"""Policies: sets with stages and versions, why an action is decided so, what a change would do."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from watchkeeper.wire.base import Name, Reason, Sent, Shown
from watchkeeper.wire.decisions import ActionKind, Usage, Verdict
from watchkeeper.wire.plane import File
from watchkeeper.wire.replays import ReplayedRun

Stage = Literal["observe", "warn", "enforce"]
"""observe: asked and recorded, never obeyed; warn: the agent is told too; enforce: obeyed."""

Effect = Literal["permit", "forbid", "ask"]
"""`ask`: a forbid that a person's approval lifts."""
_ID = r"^[a-z]{2,8}_[a-z0-9]{1,60}$"
GateResult = Literal["pass", "refuse", "hold", "not reached"]
ReplayState = Literal["running", "done", "failed"]


class PolicySetRow(Shown):
    """One policy set (one Cedar file) in a list."""

    name: str
    stage: Stage
    version: int
    """The version in force."""
    active_since: int
    by: str
    """Who put this version in force, or changed the stage last."""
    path: str
    policies: tuple[str, ...]
    """The ids of its policies, in the order they stand."""
    last_fired_at: int | None = None
    """When one of them last denied or held an action, or would have."""
    denials_day: int = 0
    """Actions it denied in the last 24 hours."""
    holds_day: int = 0
    """Actions it held for a person in the last 24 hours."""
    would_day: int = 0
    """Actions it would have denied or held, were its stage enforce."""


class PolicyRow(Shown):
    """One policy of a set: what it says, and what it did."""

    policy: str
    effect: Effect
    message: str
    line: int
    annotations: dict[str, str] = Field(default_factory=dict)
    denials_day: int = 0
    holds_day: int = 0
    last_fired_at: int | None = None


class PolicySetDetail(PolicySetRow):
    """A policy set with its text and policies."""

    text: str
    digest: str
    rules: tuple[PolicyRow, ...]


class PolicyVersionRow(Shown):
    """One immutable version of a policy set."""

    name: str
    version: int
    digest: str
    applied_at: int
    by: str
    path: str
    in_force: bool
    diff: str = ""
    """Against the version before it."""


class CaseRow(Shown):
    """What came of one case."""

    name: str
    where: str
    """`path:line`."""
    passed: bool
    expected: str
    came: str
    reason: str
    """Why, in the words of the rule that decided."""
    rule: str


class CaseReport(Shown):
    """What came of the cases of a directory."""

    cases: tuple[CaseRow, ...]
    passed: int
    failed: int
    undecided: tuple[str, ...]
    """Policies that no case reaches."""


class Finding(Shown):
    """One thing that a check of a directory found."""

    severity: Literal["error", "warning", "hint"]
    where: str
    message: str
    remedy: str | None = None


class CheckReport(Shown):
    """What a check of a directory found."""

    documents: int
    policies: int
    cases: int
    findings: tuple[Finding, ...]


class SetStage(Sent):
    """Move a policy set to another stage; refused if it changed since it was seen."""

    stage: Stage
    version: int = Field(ge=1)
    """The version that was seen in force."""
    seen: Stage
    """The stage that was seen."""
    reason: Reason


class Rollback(Sent):
    """Put an earlier version in force again, as a new version with the same text."""

    to: int | None = Field(None, ge=1)
    """The version to go back to; the one before the version in force when absent."""
    version: int = Field(ge=1)
    """The version that was seen in force."""
    reason: Reason


class Explain(Sent):
    """An action to explain without doing it, or a recorded decision to explain again.

    Give `decision`, or `agent` with `name`. With `run` the run's own state counts (its
    approvals, its budgets, on whose behalf it acts); without, a run that has just begun.
    """

    decision: str | None = Field(None, pattern=_ID)
    agent: Name | None = None
    kind: ActionKind = "tool"
    name: Name | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)
    estimate: Usage = Usage()
    environment: Name | None = None
    on_behalf_of: str | None = Field(None, max_length=200)
    run: str | None = Field(None, pattern=_ID)


class GateRow(Shown):
    """What one gate of the path said."""

    gate: str
    does: str
    """What the gate checks, in words."""
    result: GateResult
    rule: str | None = None
    reason: str | None = None


class PolicyMatch(Shown):
    """One policy that spoke on the action."""

    policy: str
    set: str
    where: str
    """File and line, e.g. `policies/finance.cedar:8`."""
    stage: Stage = "enforce"
    effect: Effect
    message: str
    annotations: dict[str, str] = Field(default_factory=dict)
    decided: bool = False
    """Whether this is the policy that decided."""


class ExplainResult(Shown):
    """Why an action is decided as it is, gate by gate; nothing was recorded or reserved."""

    agent: str
    version: int
    kind: ActionKind
    name: str
    environment: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    verdict: Verdict
    rule: str
    reason: str
    allowed_instead: str | None = None
    does: str
    """The action in words: verb, target, amount."""
    role: str | None = None
    """Who is asked, where it is held."""
    gates: tuple[GateRow, ...]
    matches: tuple[PolicyMatch, ...] = ()
    obligations: tuple[str, ...] = ()
    """What a permit carries along, in words."""
    would_change: tuple[str, ...] = ()
    """What would make the answer another one, in words."""
    recorded: Verdict | None = None
    """What was decided then, where a recorded decision is explained."""
    recorded_rule: str | None = None
    recorded_at: int | None = None
    notes: tuple[str, ...] = ()
    """What could not be known again, in words."""


class StartReplay(Sent):
    """Decide recorded decisions again under changed policies and contracts.

    `files` are put over what is in force, as `apply` would (with `prune`: instead of it);
    without any file, what is in force now is replayed. With `run`, it is that run step by step
    from its beginning, its budgets too, however long ago it was.
    """

    files: tuple[File, ...] = Field((), max_length=2000)
    prune: bool = False
    since_seconds: int = Field(7 * 86_400, ge=1, le=366 * 86_400)
    agent: Name | None = None
    run: str | None = Field(None, pattern=_ID)
    most: int = Field(100_000, ge=1, le=1_000_000)
    """Newest decisions that are looked at, at most; of a run the oldest."""


class ReplayExample(Shown):
    """One decision that would have been another."""

    decision: str
    at: int
    run: str
    before_rule: str
    after_rule: str
    before_reason: str
    after_reason: str


class ReplayGroup(Shown):
    """Decisions that would differ in the same way."""

    before: Verdict
    after: Verdict
    before_rule: str
    rule: str
    """The rule that would decide."""
    agent: str
    kind: ActionKind
    name: str
    count: int
    examples: tuple[ReplayExample, ...]
    """Five at most, newest first."""


class ReplayResult(Shown):
    """How far a replay is, and what would have been decided otherwise so far."""

    replay: str
    state: ReplayState
    started_at: int
    ended_at: int | None = None
    by: str
    since: int
    total: int
    """Decisions to look at."""
    looked_at: int
    same: int
    differ: int
    """Decisions whose verdict would be another."""
    other_rule: int
    """Decisions with the same verdict under another rule."""
    kept: int
    """Recorded refusals of locks, budgets, rates and identity: kept as they were."""
    skipped: int
    """Decisions that can't be put again: their arguments were not kept."""
    groups: tuple[ReplayGroup, ...] = ()
    """Where the verdict differs, then where only the rule does; largest first."""
    groups_left_out: int = 0
    changes: tuple[str, ...] = ()
    """The documents that differ from what is in force, e.g. `~ policy finance`."""
    notes: tuple[str, ...] = ()
    of_run: ReplayedRun | None = None
    """Step by step, where one run was replayed."""
    error: str | None = None
