"""Spans and traces: OpenTelemetry GenAI terms where they have one, `watchkeeper.*` where not."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import Field

from watchkeeper.wire.base import Shown

SpanSource = Literal["plane", "agent"]
"""Who tells of it: the plane's own ledger, or an agent's telemetry."""
SpanKind = Literal["run", "prompt", "action", "approval", "reported"]
"""`run` is an agent's run, `prompt` what somebody asked of it in one, `action` a decided tool or
model call, `approval` a request for one; `reported` is whatever an agent's telemetry says."""
SpanStatus = Literal["unset", "ok", "error"]
"""As OpenTelemetry has it."""
ActionVerdict = Literal["permit", "hold", "deny"]
ApprovalVerdict = Literal[
    "pending", "approved", "denied", "expired", "cancelled", "superseded", "revoked", "lapsed",
    "redeemed",
]  # fmt: skip
"""How far an approval came: of a step that is one."""
SpanVerdict = Literal[ActionVerdict, ApprovalVerdict]
SPAN_VERDICTS: tuple[str, ...] = get_args(SpanVerdict)

Relation = Literal["approval", "held", "caller", "said"]
"""Why a span links to another: the `approval` it ran or waits under, the `held` action that
approval was asked for, the `caller`'s own span, the same thing as an agent `said` it."""

ContentPart = Literal["input", "output"]


class SpanLink(Shown):
    """Another span that one has to do with, in this trace or another."""

    trace: str
    span: str
    relation: Relation


class SpanMark(Shown):
    """Something that happened in a span: an entry of the ledger, in words."""

    at: int
    name: str
    """The entry's type."""
    text: str = ""
    sequence: int | None = None


class SpanRow(Shown):
    """One span. Times in microseconds, money in micro-dollars."""

    key: str
    """The plane's own id of what it is: a run, a decision, a request; else of the agent's span."""
    source: SpanSource
    kind: SpanKind
    run: str | None
    """None for what belongs to no run: a run that was refused, a span that nobody could join."""
    trace: str
    span: str
    parent: str | None
    """The span id of what caused it."""
    agent: str
    version: int | None
    operation: str
    """`invoke_agent`, `user_request`, `chat`, `embeddings`, `execute_tool`, `retrieval`, …"""
    subject: str
    """The tool, model or agent, by name; of an approval what is asked for."""
    name: str
    """Operation and subject, as OpenTelemetry names spans."""
    start: int
    end: int | None
    """None while it lasts."""
    took_ms: int | None
    status: SpanStatus
    verdict: str | None
    """Of an action permit, hold or deny; of an approval its state."""
    outcome: str | None
    """How it ended; `running` while it lasts."""
    rule: str | None
    """What decided."""
    error: str | None
    request: str | None
    """The approval request that it waits or ran under."""
    sequence: int | None
    """The entry of the ledger that it begins with."""
    principal: str | None
    """On whose behalf; who decided, of an approval."""
    cost_micros: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    calls: int = 0
    """Of a run: how many actions were permitted in it."""
    refusals: int = 0
    """Of a run: how many were not."""
    classes: tuple[str, ...] = ()
    """Classes of data that passed."""
    links: tuple[SpanLink, ...] = ()
    marks: tuple[SpanMark, ...] = ()
    attributes: dict[str, Any] = Field(default_factory=dict)
    """All that OpenTelemetry would be told of it."""
    depth: int = 0
    """How deep it stands below the run, in a trace."""


class Trace(Shown):
    """The spans of one run in causal order: each below what caused it, by time."""

    run: str
    agent: str
    trace: str | None
    """None where nothing of the run is kept any more."""
    rows: tuple[SpanRow, ...]
    next: str | None = None
    """The key to continue after, where the run has more spans than these."""
    sequence: int = 0
    """Newest event that this reflects."""


class ContentRow(Shown):
    """What is kept of one part of an action."""

    part: ContentPart
    kind: str
    """`json`: as its protocol has it; `text`: the words of a streamed answer."""
    text: str | None
    digest: str
    """Of all that passed, before anything was taken out."""
    size: int
    """Of all that passed, in bytes."""
    at: int
    left_out: str | None = None
    """Why there is no text."""


class Contents(Shown):
    """What went into one action and came out of it, as far as its agent's contract keeps it."""

    key: str
    run: str
    agent: str
    name: str
    rows: tuple[ContentRow, ...]


class TraceCheck(Shown):
    """Whether every call that was admitted is recorded, in a time."""

    ok: bool
    since: int
    until: int
    told: int
    """The entry of the ledger up to which spans tell it."""
    admitted: int
    """Permits in the ledger."""
    decided: int
    """Permits among the decisions that calls are settled by."""
    recorded: int
    """Permitted calls among the spans."""
    left_out: int
    """Calls that went well and are left out of the spans, as the settings say."""
    running: int
    """Permits that nobody said the end of yet."""
    missing: tuple[str, ...] = ()
    """Decisions that no span tells of; the first of them."""
    unknown: tuple[str, ...] = ()
    """Spans of calls that nobody decided; the first of them."""
    unattributed: tuple[str, ...] = ()
    """Actions, refused ones too, of which it is not on record whose they are (agent, version, and
    the person or team they were for), what decided them under which policies, or, of what ran
    under a request, who approved it; the first of them."""
    lost_contents: int = 0
    """Parts of calls whose contents this plane lost since it started: it was overloaded."""
