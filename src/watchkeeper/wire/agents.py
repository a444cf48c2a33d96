"""Agents, their enrolment, and their runs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from watchkeeper.wire.base import Name, Reason, Sent, ShortText, Shown
from watchkeeper.wire.health import Health

AgentState = Literal["working", "waiting", "stopped", "paused", "idle", "silent", "never seen"]
"""working: a run acted lately; waiting: a run is held for a person; stopped: a lock or an
exhausted budget refuses it; silent: an open run has not acted for a while."""

RunState = Literal["open", "held", "stopped", "succeeded", "failed", "expired"]


class BusinessObject(Sent):
    """What in the business an action or a run is about, e.g. charge ch_81."""

    kind: str = Field(max_length=60)
    id: str = Field(max_length=200)


class AgentRow(Shown):
    """One line of the fleet: what an agent is doing, in words and figures."""

    name: str
    owner: str
    version: int
    state: AgentState
    doing: str
    """One sentence in words, e.g. `stripe.create_refund held for finance-ops, 2 m`."""
    why: str | None = None
    """Why it is stopped, paused or waiting: the lock, budget or request, in words."""
    open_runs: int
    calls_hour: int
    denied_hour: int
    held: int
    spend_hour_micros: int
    spend_day_micros: int
    last_seen_at: int | None = None
    locks: tuple[str, ...] = ()
    health: Health | None = None
    """The best that one of its open runs is; without any, `silent` where its contract expects
    more of it."""
    ailing_runs: int = 0
    """Open runs that are silent, lost or stuck."""


class EnvelopeRow(Shown):
    """What an agent may do with one tool or model, in words."""

    kind: Literal["tool", "model"]
    name: str
    may: Literal["yes", "approval", "never"]
    """yes: at once, at least for the smallest amount; approval: a person decides each time."""
    words: str
    """e.g. `up to $200 freely; above with approval by finance-ops`."""
    rule: str
    """The rule that decides of the smallest amount."""
    risk: str = "low"
    does: str = ""


class Envelope(Shown):
    """An agent's permission envelope: every tool and model that its contract names."""

    rows: tuple[EnvelopeRow, ...] = ()


class AgentDetail(AgentRow):
    """An agent with its contract as applied."""

    spiffe_id: str | None = None
    mission: str | None = None
    business_process: str | None = None
    contract_digest: str
    contract_yaml: str
    envelope: Envelope = Envelope()
    models: tuple[str, ...] = ()
    budgets: tuple[str, ...] = ()
    """Ids of the budgets that cap it."""


class Enrolment(Shown):
    """A one-time secret for one agent; shown once, never stored in clear."""

    agent: str
    secret: str
    expires_at: int
    settings: dict[str, str]
    """Environment variables to set for the workload."""


class Enrol(Sent):
    """Ask for a one-time enrolment secret."""

    agent: Name
    ttl_seconds: int = Field(900, ge=30, le=86_400)


class Redeem(Sent):
    """Exchange a one-time enrolment secret for the agent's credential, or to register a key."""

    secret: str = Field(max_length=200)
    jwk: dict[str, Any] | None = Field(None, max_length=20)
    """The public half of the workload's key pair (Ed25519 or P-256); then no secret is given."""


class Credential(Shown):
    """What an enrolled workload opens runs with; revocable, expires."""

    agent: str
    credential: str | None = None
    """The shared secret; none where a key was registered."""
    expires_at: int
    key: str | None = None
    """The thumbprint (RFC 7638) of the registered key: the `kid` of its assertions."""
    token_url: str | None = None
    """Where the workload gets access tokens: the audience of its assertions."""


class CredentialRow(Shown):
    """One way in which an agent may prove itself."""

    id: str
    agent: str
    kind: Literal["secret", "key", "access token"]
    algorithm: str | None = None
    created_at: int
    expires_at: int
    revoked_at: int | None = None


class RevokeCredential(Sent):
    """Take back a credential or key with every token that was got with it."""

    reason: Reason


class Revoked(Shown):
    """What was taken back."""

    id: str
    revoked: int
    """How many secrets, keys and tokens were valid until now."""


class ChildBudget(Sent):
    """What a child run may use of its parent's budget; left out: as much as its contract says."""

    tool_calls: int | None = Field(None, ge=0, le=10**9)
    input_tokens: int | None = Field(None, ge=0, le=10**12)
    output_tokens: int | None = Field(None, ge=0, le=10**12)
    spend_micros: int | None = Field(None, ge=0, le=10**15)


class OpenRun(Sent):
    """Begin one piece of work."""

    goal: ShortText
    on_behalf_of: str | None = Field(None, max_length=200)
    business_object: BusinessObject | None = None
    environment: str = Field("production", max_length=60)
    parent: str | None = Field(None, max_length=200)
    """The token of the run that this one is opened under."""
    budget: ChildBudget | None = None
    """With a parent: what the run gets of its budget."""


class RunOpened(Shown):
    """A run and its short-lived token; the token is shown once and hashed at rest."""

    run: str
    agent: str
    token: str
    expires_at: int
    mcp_url: str
    model_base_url: str
    """For clients of OpenAI's protocol."""
    anthropic_base_url: str = ""
    """For clients of Anthropic's."""


class CloseRun(Sent):
    """End a run with its outcome."""

    outcome: Literal["succeeded", "failed"]
    summary: ShortText | None = None


class RunRow(Shown):
    """One run in a list."""

    run: str
    agent: str
    version: int
    state: RunState
    goal: str
    on_behalf_of: str | None = None
    on_behalf_of_proof: str | None = None
    """By whom and as whom it was proven; none: the agent only claims it."""
    parent: str | None = None
    """The run that opened it."""
    replay_of: str | None = None
    """The run that it replays: nobody's work, but what somebody tries out."""
    business_object: BusinessObject | None = None
    opened_at: int
    closed_at: int | None = None
    last_action_at: int | None = None
    last_action: str | None = None
    calls: int
    denied: int
    spend_micros: int
    tokens: int
    why: str | None = None
    health: Health | None = None
    """While it is open."""
    health_why: str | None = None
    """What is the matter, where something is."""
    seen_at: int | None = None
    """The last sign of life: an action, its outcome, a heartbeat or a new token."""


class RunDetail(RunRow):
    """A run with what it did."""

    summary: str | None = None
    environment: str = "production"
    spiffe_id: str | None = None
    scope: str | None = None
    """What its tokens are for at most; none: all that its contract allows."""
    lent: dict[str, int] | None = None
    """What its parent's budget lent it, by measure."""
