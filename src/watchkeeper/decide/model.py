"""An action, and what the gates say of it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast, get_args

from watchkeeper.approvals.model import GRANT_SECONDS, Grant, TimeoutOutcome
from watchkeeper.approvals.standing.model import StandingApproval
from watchkeeper.breakers.model import Standing as BreakerStanding
from watchkeeper.budgets.filling import Level
from watchkeeper.budgets.terms import Terms
from watchkeeper.core.digest import Written, canonical, digest
from watchkeeper.core.money import dollars
from watchkeeper.decide.contents import Contents, examine
from watchkeeper.identity.details import Detail
from watchkeeper.oncall.model import EscalationPolicy
from watchkeeper.policy.model import Obligation, PolicyAnswer, Question
from watchkeeper.registry.display import render
from watchkeeper.tools.rates.rules import Limit
from watchkeeper.wire.decisions import (
    ActionKind,
    Duty,
    DutyKind,
    Narrowed,
    Risk,
    Usage,
    Verdict,
)
from watchkeeper.wire.models import Endpoint, Routed
from watchkeeper.wire.policy import Stage
from watchkeeper.wire.quorum import Groups, quorum_words, size
from watchkeeper.wire.requests import AS_USUAL, Deciding

if TYPE_CHECKING:
    from watchkeeper.decide.gates.legs import Leg

RISKS: tuple[Risk, ...] = get_args(Risk)
"""In rising order."""
ENDPOINT = "endpoint"
"""The argument of a model call that says through which endpoint it was made."""
_ENDPOINTS = frozenset(get_args(Endpoint))


@dataclass(frozen=True)
class Action:
    """One thing an agent wants; `estimate` is the most that it may use."""

    kind: ActionKind
    name: str
    arguments: Mapping[str, Any]
    estimate: Usage = field(default_factory=Usage)
    explanation: str | None = None
    fulfils: tuple[DutyKind, ...] = ()
    """The obligations that its performer can carry out."""
    examined: Contents | None = None
    """What is in the arguments, where that was looked at before."""
    stands_for: str | None = None
    """The `call_digest` of what the agent sent, where an approver narrowed that to this: it
    runs on that approval alone."""

    @cached_property
    def endpoint(self) -> Endpoint | None:
        """Through which endpoint a model is called; None: the caller performs it by itself."""
        said = self.arguments.get(ENDPOINT)
        return cast("Endpoint", said) if isinstance(said, str) and said in _ENDPOINTS else None

    @cached_property
    def contents(self) -> Contents:
        """What is in the arguments, and what may be kept of them."""
        return self.examined or examine(self.arguments)

    @cached_property
    def written(self) -> Written:
        """The arguments in canonical form, as digests of the action hold them."""
        examined = self.examined
        if examined is not None and examined.arguments is self.arguments:
            return Written(examined.text)
        return Written(canonical(self.arguments, 1))

    @cached_property
    def call_digest(self) -> str:
        """The digest of what is called and with what, whoever calls it."""
        called = [self.kind, self.name, self.written]
        return self.stands_for or digest("watchkeeper/call/v1", called)


@dataclass(frozen=True, slots=True)
class Requirement:
    """The approval that an action needs before it may run."""

    escalation: EscalationPolicy
    groups: Groups
    """Who must agree; the escalation's levels stand in for the first, the others are asked from
    the start."""
    sla_seconds: int
    risk: Risk
    rule: str
    rule_text: str
    deciding: Deciding = AS_USUAL
    """What a vote takes, as the risk class says."""
    grant_seconds: int = GRANT_SECONDS
    timeout_outcome: TimeoutOutcome = "deny"

    @property
    def role(self) -> str:
        """The role that is asked first."""
        return self.escalation.levels[0].role

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that are asked, at any time."""
        levels = (level.role for level in self.escalation.levels if level.role)
        return tuple(dict.fromkeys((*levels, *(role for role, _ in self.groups))))

    @property
    def words(self) -> str:
        """Whose approval it is: one role, or the quorum."""
        return self.role if size(self.groups) == 1 else quorum_words(self.groups)

    def met_by(self, roles: Set[str]) -> bool:
        """Whether enough people of some roles would do."""
        later = {level.role for level in self.escalation.levels if level.role}
        first, *others = (role for role, _ in self.groups)
        return not roles.isdisjoint({first, *later}) and set(others) <= roles


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause that a budget's document asks for at one of its levels."""

    level: Level
    at: int
    """Percent of the cap."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the path decided and which rule did."""

    verdict: Verdict
    rule: str
    reason: str
    allowed_instead: str | None = None
    requirement: Requirement | None = None
    grant: Grant | None = None
    """The grant that a permit must redeem."""
    standing: StandingApproval | None = None
    """The standing approval that a permit counts as a use of."""
    request: str | None = None
    voids: tuple[str, str] | None = None
    """A request whose approval is not good enough any more, and why."""
    retry_after_seconds: int | None = None
    """When a refusal may be another answer for the same call."""
    narrowed: Narrowed | None = None
    """What an approver made of the arguments, which is what may run."""
    pause: Pause | None = None
    """The budget that is used up, whose spender is paused for it."""
    top_up: Terms | None = None
    """The room in a budget that a hold asks people for, where none asks for it yet."""


@dataclass(frozen=True, slots=True)
class Would:
    """What a policy set that is not enforced yet would have said otherwise."""

    set: str
    stage: Stage
    verdict: Verdict
    policy: str
    message: str

    def words(self) -> str:
        """Say it in one sentence."""
        return f"once enforced, policy {self.policy} would say {self.verdict}: {self.message}"


@dataclass(slots=True)
class Progress:
    """What earlier gates found out and later ones need."""

    permit_rule: str = "contract"
    permit_reason: str = "the contract allows it"
    asks: tuple[Obligation, ...] = ()
    """The approvals that policies ask for."""
    amount_micros: int = 0
    object_id: str | None = None
    object_kind: str | None = None
    digest: str = ""
    contract: str = ""
    """Digest of the agent's contract, which `digest` covers."""
    target: str = ""
    """Digests of the tool's contract and definition, which `digest` covers."""
    definition: str | None = None
    """Digest of the upstream's definition that a tool is permitted under."""
    grant: Grant | None = None
    standing: StandingApproval | None = None
    spends: tuple[Detail, ...] = ()
    """The authorization details of its token that a permit is counted against."""
    question: Question | None = None
    """What was put to the policies; None where an earlier gate refused."""
    policy: PolicyAnswer | None = None
    """What they answered."""
    would: tuple[Would, ...] = ()
    """What policy sets that are observed, or warn, would have answered otherwise."""
    obligations: tuple[Duty, ...] = ()
    """What a permit obliges its performer to."""
    model: str | None = None
    """The model that answers instead of the one that was called."""
    estimate: Usage | None = None
    """What the action may use at most, where obligations change that."""
    routed: Routed | None = None
    """Where a model call goes, and why."""
    legs: tuple[Leg, ...] = ()
    """The models that may answer it, each with its targets and what goes to it."""
    limits: tuple[Limit, ...] = ()
    """Rate limits over the action beside those that documents put there."""
    probes: tuple[BreakerStanding, ...] = ()
    """The open breakers that a permit is the probe of."""
    hosted: tuple[str, ...] = ()
    """The tools that the provider may run along with a model call."""
    hosted_asks: tuple[Obligation, ...] = ()
    """The approvals that policies ask for of those."""
    strips: tuple[Duty, ...] = ()
    """What of such tools is taken out of the call."""
    avoided: tuple[str, ...] = ()
    """What was left out of that, and why."""
    looked: dict[str, Any] = field(default_factory=dict)
    """The run's figures that this was looked at for: a replay looks at the same."""


def deny(rule: str, reason: str, instead: str | None) -> Ruling:
    """Refuse, naming the rule and what would be allowed instead."""
    return Ruling("deny", rule, reason, instead)


def describe(action: Action, progress: Progress, display: str | None = None) -> str:
    """Say in words what will happen: as the tool's `display` says, or verb, amount and target."""
    if display is not None:
        return render(display, action.contents.arguments)
    verb = action.name.rpartition(".")[2].replace("_", " ")
    words = f"call model {action.name}" if action.kind == "model" else verb
    if progress.amount_micros:
        words += f" of {dollars(progress.amount_micros)}"
    if progress.object_id:
        words += f" on {progress.object_kind} {progress.object_id}"
    if progress.hosted:
        words += f", which may run {', '.join(progress.hosted)} at its provider"
    return words
