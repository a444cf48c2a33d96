"""Approval requests, votes and timelines."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from watchkeeper.wire.agents import BusinessObject
from watchkeeper.wire.base import Reason, Sent, Shown
from watchkeeper.wire.decisions import Risk

RequestState = Literal[
    "pending", "approved", "denied", "expired", "revoked", "redeemed", "succeeded", "failed",
    "unknown", "lapsed", "withdrawn",
]  # fmt: skip
"""pending → approved → redeemed → succeeded | failed | unknown; or denied, expired (nobody
decided in time), revoked (a kill), withdrawn (by the agent), lapsed (approved, but never used
in time)."""


class RequestRow(Shown):
    """One approval request in a list."""

    request: str
    state: RequestState
    risk: Risk
    agent: str
    run: str
    tool: str
    asks: str
    """What will happen in words: verb, target, amount."""
    object: BusinessObject | None = None
    amount_micros: int | None = None
    role: str
    """The role that is asked now."""
    level: int
    levels: int
    approvals: int
    quorum: int
    created_at: int
    decide_by: int
    """When the declared timeout outcome is taken."""
    next_at: int | None = None
    """When the next reminder, escalation or timeout fires."""
    digest: str
    mine: bool
    """Whether the caller may decide it now."""
    why_not: str | None = None
    decided_by: str | None = None
    decided_at: int | None = None


class Change(Shown):
    """One line of the diff that an action would make."""

    field: str
    before: str | None
    after: str | None
    source: Literal["measured", "claimed"]
    """measured: the plane read it through a read-only tool; claimed: the agent's arguments."""


class VoteRow(Shown):
    """One person's verdict on one digest."""

    person: str
    role: str
    verdict: Literal["approve", "reject"]
    reason: str | None = None
    at: int


class TimelineEntry(Shown):
    """One event of a request's life, in words."""

    sequence: int
    at: int
    type: str
    actor: str
    text: str


class RequestDetail(RequestRow):
    """Everything an approver needs; rendered from the canonical bytes the digest covers."""

    version: int
    on_behalf_of: str | None = None
    on_behalf_of_proof: str | None = None
    """By whom and as whom it was proven; none: the agent only claims it."""
    goal: str = ""
    arguments: dict[str, Any]
    canonical: str
    """The exact bytes (as text) that the digest covers, but for secrets: markers stand there."""
    changes: tuple[Change, ...] = ()
    blast_radius: str
    blast_source: Literal["measured", "claimed", "declared"] = "declared"
    rollback: str
    reversible: bool | None = None
    """Whether `rollback` undoes it; None: its contract does not say."""
    rule: str
    rule_text: str
    timeout_outcome: Literal["deny", "allow"] = "deny"
    votes: tuple[VoteRow, ...] = ()
    escalation: tuple[str, ...] = ()
    """The levels in words, in order."""
    history: str = ""
    """Like requests in the last 30 days, in words."""
    explanation: str | None = None
    """The agent's own words. Untrusted."""
    timeline: tuple[TimelineEntry, ...] = ()

    @property
    def way_back(self) -> str:
        """The rollback path with what the contract says of it: whether it undoes the action."""
        said = {True: "reversible: ", False: "irreversible: ", None: ""}[self.reversible]
        return said + self.rollback.strip() if self.rollback.strip() else ""


class Vote(Sent):
    """A person's verdict; `digest` is of what was on the person's screen."""

    verdict: Literal["approve", "reject"]
    digest: str = Field(max_length=100)
    reason: Reason | None = None
    view_seconds: float | None = Field(None, ge=0)


class Escalate(Sent):
    """Ask the next level now; `level` is the level seen, so a stale key never skips one."""

    level: int = Field(ge=1)
    reason: Reason | None = None
