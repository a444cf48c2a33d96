"""Asking for an action, what was decided, and how it ended."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from watchkeeper.wire.base import Name, Sent, ShortText, Shown
from watchkeeper.wire.data import DataClass
from watchkeeper.wire.models import Routed

Risk = Literal["low", "medium", "high", "critical"]
Verdict = Literal["permit", "hold", "deny"]
ActionKind = Literal["tool", "model"]
OutcomeStatus = Literal["succeeded", "failed", "unknown"]
EndedAs = Literal["succeeded", "failed", "unknown", "running"]
"""What decisions are looked for by: `running` was permitted and has not ended."""
DecisionOrder = Literal["newest", "dearest"]
Performer = Literal["plane", "agent"]
"""Who carries a permitted action out, and so says how it ended."""


LARGEST_USAGE = 10**11
"""The most that one action may be said to use, in tokens or micro-dollars: sums of many stay
far below what a 64-bit column holds."""


class Usage(Sent):
    """What an action cost, as the boundary measured it. Money in micro-dollars."""

    input_tokens: int = Field(0, ge=0, le=LARGEST_USAGE)
    """All of them, those from and to the provider's prompt cache among them."""
    output_tokens: int = Field(0, ge=0, le=LARGEST_USAGE)
    cost_micros: int = Field(0, ge=0, le=LARGEST_USAGE)
    cache_read_tokens: int = Field(0, ge=0, le=LARGEST_USAGE)
    cache_write_tokens: int = Field(0, ge=0, le=LARGEST_USAGE)
    cache_write_long_tokens: int = Field(0, ge=0, le=LARGEST_USAGE)
    """Those of them that are kept for longer than usual, which costs more."""
    reasoning_tokens: int = Field(0, ge=0, le=LARGEST_USAGE)
    """Those of the output that are thoughts, as far as the provider says."""
    retries: int = Field(0, ge=0, le=1000)
    """What was sent again to a provider."""


DutyKind = Literal["route", "redact", "max_output_tokens", "compose", "strip", "max_seconds"]
"""route: another model answers the call; redact: classes of data are taken out of the result;
max_output_tokens: no more may be generated; max_seconds: a tool call is ended then; compose:
several models answer as `routed` says, and the last of them gives the answer, or the first whose
answer does; strip: tools that would run at the provider are taken out of the call."""


class Duty(Shown):
    """What a permit asks of whoever performs the action; a performer that can't must not act."""

    kind: DutyKind
    policy: str
    """The policy that asks for it, or another rule with its kind: `contract/NAME/escalate_on`."""
    model: str | None = None
    classes: tuple[str, ...] = ()
    max_output_tokens: int | None = None
    max_seconds: int | None = None
    tools: tuple[str, ...] = ()


class Ask(Sent):
    """One action an agent wants: a tool with arguments, or a model call with an estimate."""

    kind: ActionKind = "tool"
    name: Name
    arguments: dict[str, Any] = Field(default_factory=dict)
    idempotency_key: str | None = Field(None, max_length=200)
    estimate: Usage = Usage()
    explanation: ShortText | None = None
    """The agent's own words on why; shown to approvers last, as the agent's words."""
    fulfils: tuple[DutyKind, ...] = ()
    """The obligations that the caller can carry out; a permit with another one is a denial."""
    callback: Name | None = None
    """The webhook that is told how a held action's request is decided and ends; one that the
    agent's contract names under `approvals.callbacks`."""
    traceparent: str | None = Field(None, max_length=512)
    """The caller's W3C trace context, as the header of that name has it; what is none is passed
    over."""


class Narrowing(Shown):
    """One argument that an approver narrowed."""

    argument: str
    before: Any
    after: Any


class Narrowed(Shown):
    """The arguments that an approver let pass in place of those that were sent."""

    request: str
    """The request that stands for the one that was asked."""
    by: str
    reason: str | None = None
    changes: tuple[Narrowing, ...]
    arguments: dict[str, Any]
    """All of them, as they are approved: what the plane performs, or what an agent that
    performs the action itself must send instead."""


class Answer(Shown):
    """What was decided of one action."""

    decision: str
    verdict: Verdict
    rule: str
    """Id of the rule that decided, e.g. `contract/tools/allowlist` or `policy/refund-over-200`."""
    reason: str
    allowed_instead: str | None = None
    digest: str
    request: str | None = None
    """Id of the approval request that a hold waits for."""
    expires_at: int | None = None
    """When a hold that nobody decides ends."""
    retry_after_seconds: int | None = None
    """After how long the same call may be permitted, where a rate limit refused it."""
    definition: str | None = None
    """Digest of the upstream's definition of the permitted tool; it runs under no other."""
    replay: dict[str, Any] | None = None
    """The recorded outcome, when this is a call that ran already: nothing is to be done."""
    obligations: tuple[Duty, ...] = ()
    """What must be done along with a permitted action."""
    warnings: tuple[str, ...] = ()
    """What policies that are not enforced yet would have said otherwise."""
    narrowed: Narrowed | None = None
    """What an approver made of the arguments, where that is another action than was sent."""
    routed: Routed | None = None
    """For a permitted model call: where it goes, and why."""


PROVIDER_WORD = r"[0-9-]{0,40}[A-Za-z][A-Za-z0-9_.:/-]{0,99}"
"""What is recorded of a provider's own names: nothing that an address or a number could be in."""
ProviderWord = Annotated[str, Field(pattern=f"^{PROVIDER_WORD}$")]


class Response(Sent):
    """What a provider says of its answer to a model call, beside what it used."""

    id: ProviderWord | None = None
    model: ProviderWord | None = None
    """Which model answered: often the dated name of the one that was asked."""
    finish_reasons: tuple[ProviderWord, ...] = Field((), max_length=8)
    """Why it ended, in the provider's words, each once."""


class Outcome(Sent):
    """How a permitted action ended."""

    status: OutcomeStatus
    usage: Usage = Usage()
    result_digest: str | None = Field(None, max_length=100)
    error: ShortText | None = None
    classes: tuple[DataClass, ...] = Field((), max_length=20)
    """Classes of data that were found in the result."""
    redacted: tuple[DataClass, ...] = Field((), max_length=20)
    """Those of them that the agent was not given."""
    provider: Name | None = None
    """Who answered a model call."""
    provider_model: str | None = Field(None, max_length=120)
    model: Name | None = None
    """The logical model that answered, where another was decided on before the call was made."""
    route_reason: ShortText | None = None
    """Why that one did, where the answers themselves decided."""
    response: Response | None = None
    first_token_ms: int | None = Field(None, ge=0)
    cached: bool = False
    """Whether the answer is one that the same call had before."""


class Reconciled(Shown):
    """A person's word on how an action ended of which nobody knew."""

    status: OutcomeStatus
    by: str
    at: int
    reason: str
    was: str
    """What was on record before: why nobody knew."""


class DecisionRow(Shown):
    """A recorded decision in a list."""

    decision: str
    at: int
    agent: str
    run: str
    kind: ActionKind
    name: str
    verdict: Verdict
    rule: str
    reason: str
    request: str | None = None
    outcome: OutcomeStatus | None = None
    cost_micros: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    classes_in: tuple[str, ...] = ()
    """Classes of data that were found in the arguments."""
    classes_out: tuple[str, ...] = ()
    """Classes of data that were found in the result."""
    classes_redacted: tuple[str, ...] = ()
    """Those of the result that the agent was not given."""
    model: str | None = None
    """The logical model that answered."""
    provider: str | None = None
    provider_model: str | None = None
    route_cause: str | None = None
    route_reason: str | None = None
    cache_read_tokens: int = 0
    cached: bool = False
    retries: int = 0
    value_micros: int = 0
    took_ms: int | None = None
    """From permit to outcome."""
    reconciled: Reconciled | None = None
    """Set where nobody knew how it ended, and `outcome` is a person's word."""
