"""An approval request as it is opened, what it waits for, and what it grants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from watchkeeper.core.errors import Invalid
from watchkeeper.oncall.model import EscalationPolicy, Level
from watchkeeper.wire.decisions import Narrowed, Risk
from watchkeeper.wire.quorum import Groups
from watchkeeper.wire.requests import AS_USUAL, Change, Covers, Deciding, RequestState

GRANT_SECONDS = 300
"""How long an approval may wait to be used."""

TimeoutOutcome = Literal["deny", "allow"]
RequestKind = Literal["action", "standing", "top_up", "interrupt"]

STATES: tuple[RequestState, ...] = get_args(RequestState)
OPEN: frozenset[RequestState] = frozenset({"pending", "approved"})
"""States in which the same action asked again is the same request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRequest:
    """Everything that is snapshotted when an action is held for approval.

    `digest` names exactly what is approved and `canonical` is the text it covers;
    `arguments` are shown from it. `groups` are who must agree; the levels stand in for the
    first of them, the others are asked from the start. `excluded` lists who may not vote
    beside the agent and `on_behalf_of`; their aliases and delegates are found out when it is
    opened and again when somebody votes. `told` is what the ledger says of `asks`, where it
    may not say all of it. Raises :class:`Invalid` for a quorum or time below one, and for
    `allow` at a deadline unless the risk is low.
    """

    decision: str
    agent: str
    agent_version: int
    run: str
    tool: str
    digest: str
    canonical: str
    arguments: Mapping[str, Any]
    asks: str
    risk: Risk
    escalation: EscalationPolicy
    sla_seconds: int
    rule: str
    rule_text: str
    blast_radius: str
    rollback: str
    epoch: int
    reversible: bool | None = None
    """Whether `rollback` undoes it; None: nobody has said."""
    quorum: int = 1
    """How many people of the first level's role, where `groups` say nothing."""
    groups: Groups = ()
    deciding: Deciding = AS_USUAL
    """What a vote takes, as the risk class says."""
    timeout_outcome: TimeoutOutcome = "deny"
    grant_seconds: int = GRANT_SECONDS
    on_behalf_of: str | None = None
    excluded: tuple[str, ...] = ()
    goal: str = ""
    object_kind: str | None = None
    object_id: str | None = None
    amount_micros: int | None = None
    changes: tuple[Change, ...] = ()
    blast_source: Literal["measured", "claimed", "declared"] = "declared"
    explanation: str | None = None
    covers: Covers | None = None
    told: str | None = None
    call_digest: str | None = None
    """Of what the agent sent; the same call may be another action when a contract changes."""
    kind: RequestKind = "action"
    standing: str | None = None
    """The standing approval that a request of that kind asks for."""
    budget: str | None = None
    """The budget and period that a request of kind `top_up` is about."""
    proposed_by: str | None = None
    """The person who asks for it, where no agent does."""

    @property
    def levels(self) -> tuple[Level, ...]:
        """Who is asked in turn."""
        return self.escalation.levels

    def __post_init__(self) -> None:
        for name in ("quorum", "sla_seconds", "grant_seconds"):
            if getattr(self, name) < 1:
                raise Invalid(f"{name} must be at least 1", where=name)
        roles = [role for role, _ in self.groups]
        if any(count < 1 for _, count in self.groups) or len(set(roles)) < len(roles):
            raise Invalid("groups name each role once, with one person at least", where="groups")
        if roles and roles[0] != self.escalation.levels[0].role:
            raise Invalid("the first group is of the first level's role", where="groups")
        if self.timeout_outcome == "allow" and self.risk != "low":
            raise Invalid(
                f"a {self.risk} risk cannot be allowed by a deadline",
                where="timeout_outcome",
                rule="approval/timeout-outcome",
                remedy="declare deny, or have a person decide",
            )


@dataclass(frozen=True, slots=True)
class Grant:
    """A single-use right to perform one action with one digest until `expires_at`."""

    request: str
    digest: str
    expires_at: int
    roles: tuple[str, ...]
    """The roles that were asked, whose approval this is."""
    by: tuple[str, ...]
    """Who approved, e.g. `person/ada`; `deadline` if nobody did and the rule allows it."""
    groups: Groups | None = None
    """Who had to agree when it was asked; None: nothing is known of it."""
    signed: bool = True
    """Whether every vote for it was signed."""
    alone: bool = False
    """Whether one person gave it in an emergency."""
    spoiled: str | None = None
    """Why the votes for it count no longer, in words: who approved is excluded by now, or was
    taken off the role."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the newest request for an action stands."""

    request: str
    state: RequestState
    decided_by: str | None
    decided_at: int | None
    reason: str | None
    """What the person who decided said."""
    decide_by: int
    asks_changes: bool = False
    """Whether it was denied with what would do instead."""
    narrowed: Narrowed | None = None
    """What an approver made of the arguments, where this is a request that stands for it."""


@dataclass(frozen=True, slots=True)
class Barrier:
    """Why somebody may not vote; `code` is for programs."""

    code: Literal[
        "already_decided", "expired", "already_voted", "separation_of_duties", "role_missing",
        "not_asked_yet", "not_delegated",
    ]  # fmt: skip
    text: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Pending requests: all, those a person may decide, those past their first level."""

    pending: int
    waiting: int
    late: int
