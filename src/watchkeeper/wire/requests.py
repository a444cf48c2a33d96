"""Approval requests, votes and timelines."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field

from watchkeeper.wire.agents import BusinessObject
from watchkeeper.wire.base import Reason, Sent, Shown
from watchkeeper.wire.decisions import Narrowing, Risk
from watchkeeper.wire.people import PersonName

RequestState = Literal[
    "pending", "approved", "denied", "expired", "revoked", "redeemed", "succeeded", "failed",
    "unknown", "lapsed", "cancelled", "superseded",
]  # fmt: skip
"""pending → approved → redeemed → succeeded | failed | unknown; or denied, expired (nobody
decided in time), revoked (a kill), cancelled (by the agent), superseded (another stands for it:
it was edited, or what it would run changed), lapsed (approved, but never used in time)."""

Verdict = Literal["approve", "reject", "changes"]
"""changes: no, but yes to something else, which the reason says; the request ends as denied."""
ReviewVerdict = Literal["justified", "unjustified"]
"""What another person says of a break-glass approval."""
Channel = Literal["console", "cli", "api"]
"""Where a vote was cast."""

VOTE_NAMESPACE = "watchkeeper-vote@watchkeeper"
"""The namespace of signatures on votes (OpenSSH's PROTOCOL.sshsig)."""


def vote_text(
    plane: str,
    request: str,
    digest: str,
    verdict: str,
    person: str,
    reason: str | None,
    acting_for: str | None = None,
) -> bytes:
    """Return exactly what an approver signs: one verdict on one digest of one request.

    `person` is who casts it, `acting_for` whose vote it is where that is another; both by plain
    name. `verdict` is the vote's, or `break-glass`.
    """
    lines = (
        "watchkeeper vote",
        f"plane {plane}",
        f"request {request}",
        f"digest {digest}",
        f"verdict {verdict}",
        f"person {person}",
        *((f"acting for {acting_for}",) if acting_for else ()),
        f"reason {json.dumps(reason or '')}",
    )
    return ("\n".join(lines) + "\n").encode()


class Covers(Shown):
    """What the digest of a request covers beside what is shown of it."""

    kind: str
    contract: str
    """Digest of the agent's contract."""
    target: str
    """Digests of the tool's contract and of its upstream's definition."""
    whole: bool
    """Whether the arguments shown are all of them: no secret was taken out."""


class Group(Shown):
    """One part of a quorum: so many people of a role, and how many there are yet."""

    role: str
    count: int
    have: int = 0


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
    round: int = 1
    """How often the escalation began at its first level, with this time."""
    rounds: int = 1
    """How often it begins at most."""
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
    acting_for: str | None = None
    """Whose vote the caller may cast by delegation, where not one of their own."""
    decided_by: str | None = None
    decided_at: int | None = None
    kind: Literal["action", "standing", "top_up", "interrupt"] = "action"
    """standing: what is asked for is a standing approval, not one action; top_up: more room in a
    budget for its current period; interrupt: a run's question, which waits in its runtime."""
    groups: tuple[Group, ...] = ()
    """Who must agree: every group, of distinct people."""
    alike: str = ""
    """Requests with the same value ask the same of the same tool for the same agent."""
    acknowledged_by: str | None = None
    """Who said "I am on it"; the escalation waits until `acknowledged_until`."""
    acknowledged_until: int | None = None
    signed: bool = False
    """Whether each vote needs an SSH signature."""
    break_glass: bool = False
    """Approved by one person alone, to be reviewed."""
    alone_by: str | None = None
    """Who did that; `decided_by` may have taken it back since."""
    review_due_at: int | None = None
    reviewed_by: str | None = None
    caller_gone: bool = False
    """Whether the caller hung up: approved or not, nothing runs until it asks again."""


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
    verdict: Verdict | Literal["break-glass"]
    reason: str | None = None
    at: int
    acting_for: str | None = None
    """Whose vote it is, where another cast it for them by delegation."""
    digest: str = ""
    view_seconds: float | None = None
    """How long the person had it on screen, as their console says."""
    key: str | None = None
    """Fingerprint of the SSH key that signed it; none: it is not signed."""
    signature: str | None = None
    """As ssh-keygen writes it, armoured."""
    channel: Channel | None = None


class Deciding(Shown):
    """What a vote on this request takes, as its risk class says."""

    signed: bool = False
    reason: bool = False
    """Whether an approval needs a reason too."""
    view_seconds: float = 0
    read_to_end: bool = False
    break_glass: bool = True


AS_USUAL = Deciding()
"""Where no risk class asks for more."""


class CommentRow(Shown):
    """What a person said of a request."""

    person: str
    text: str
    at: int


class Judgement(Shown):
    """What a person later said of a decision."""

    person: str
    verdict: Literal["right", "wrong"]
    note: str | None = None
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
    covers: Covers | None = None
    """None: an older request, or one that asks for no action."""
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
    deciding: Deciding = Deciding()
    asked: tuple[str, ...] = ()
    """The roles that may decide now."""
    on_call: tuple[str, ...] = ()
    """Who holds those roles now, in words: `sre-oncall: ada until 18:00Z`."""
    comments: tuple[CommentRow, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    edits: dict[str, str] = Field(default_factory=dict)
    """Arguments that an approver may narrow: `lower`, `fewer` or `words`."""
    supersedes: str | None = None
    """The request before it: one it stands for, or one that asked for changes."""
    superseded_by: str | None = None
    narrowed: tuple[Narrowing, ...] = ()
    """How its arguments differ from those of the request that it stands for."""
    narrowed_by: str | None = None
    decided_why: str | None = None
    """What whoever decided it said."""
    grant_expires_at: int | None = None
    """Until when an approval may be used."""
    review_verdict: ReviewVerdict | None = None
    review_note: str | None = None
    suspicious: tuple[str, ...] = ()
    """Hidden or look-alike characters in what is asked, in words, with where they stand."""
    standing: str | None = None
    """The standing approval that this asks for or was decided by."""
    callback: str | None = None
    """The webhook that is told how it ends."""

    @property
    def way_back(self) -> str:
        """The rollback path with what the contract says of it: whether it undoes the action."""
        said = {True: "reversible: ", False: "irreversible: ", None: ""}[self.reversible]
        return said + self.rollback.strip() if self.rollback.strip() else ""


class Vote(Sent):
    """A person's verdict; `digest` is of what was on the person's screen."""

    verdict: Verdict
    digest: str = Field(max_length=100)
    reason: Reason | None = None
    view_seconds: float | None = Field(None, ge=0, le=86_400)
    acting_for: PersonName | None = None
    """Cast the vote of a person who delegated theirs."""
    signature: str | None = Field(None, max_length=16_000)
    """Over `vote_text`, by one of the person's SSH keys, armoured."""
    channel: Channel = "api"


class Escalate(Sent):
    """Ask the next level now; `level` and `round` are those seen, so a stale key skips none."""

    level: int = Field(ge=1)
    round: int = Field(1, ge=1)
    reason: Reason | None = None


class Acknowledge(Sent):
    """Say "I am on it": the escalation waits.

    `seconds` absent: as its policy says, and half of the time left at most.
    """

    seconds: int | None = Field(None, ge=5, le=86_400)


class Comment(Sent):
    """Say something of a request, for everybody who decides it."""

    text: Reason


class Edit(Sent):
    """Narrow a request's arguments and approve that instead: a new request with a new digest."""

    digest: str = Field(max_length=100)
    """Of what is edited, as it was on the screen."""
    arguments: dict[str, Any]
    """All arguments as they are to be."""
    reason: Reason | None = None
    view_seconds: float | None = Field(None, ge=0, le=86_400)


class BreakGlass(Sent):
    """Approve alone in an emergency; everybody who may decide is told, and it is reviewed."""

    digest: str = Field(max_length=100)
    reason: Reason
    signature: str | None = Field(None, max_length=16_000)
    """Over `vote_text` with verdict `break-glass`."""


class Review(Sent):
    """What another person says of a break-glass approval."""

    verdict: ReviewVerdict
    note: Reason


class TakeBack(Sent):
    """Take an approval back that was not used yet; the agent has to ask anew."""

    reason: Reason | None = None


class Cancelled(Shown):
    """What became of a request that its agent wanted no more."""

    request: str
    state: RequestState


class Judge(Sent):
    """Say later whether a decision was right."""

    verdict: Literal["right", "wrong"]
    note: Reason | None = None
