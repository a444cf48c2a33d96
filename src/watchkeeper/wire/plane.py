"""The plane itself: status, what needs a person, events, applying, verification."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from watchkeeper.wire.base import Sent, Shown
from watchkeeper.wire.decisions import Risk
from watchkeeper.wire.people import Via


class Me(Shown):
    """Who the plane takes the caller for."""

    person: str
    roles: tuple[str, ...]
    """The roles in which they are asked to approve."""
    permission: str
    """The operator roles they hold, in words."""
    via: Via
    permissions: tuple[str, ...] = ()
    """What they may do, in some team at least."""


class Status(Shown):
    """The header of every screen."""

    environment: str
    plane: str
    version: str
    me: Me
    now: int
    sequence: int
    """Newest event; a client resumes the feed after it."""
    locks: int
    waiting: int
    """Requests pending that the caller may decide."""
    pending: int
    late: int
    """Pending requests whose first level has passed without a decision."""
    spend_hour_micros: int
    agents: int
    open_runs: int
    calls_hour: int = 0
    """What the whole fleet asked for in the last hour, permitted or not."""
    rehearsal: bool = False
    """The clock is driven by a person; nothing here happens in real time."""
    store: Literal["ok", "unavailable"] = "ok"
    on_call_until: int | None = None
    """Until when the caller is on call without a break; None: not on call, or with no end in
    sight (see `on_call`)."""
    on_call: tuple[str, ...] = ()
    """The schedules in which the caller is on call now."""
    upstreams_down: tuple[str, ...] = ()


NeedKind = Literal[
    "request", "budget", "lock", "agent", "upstream", "tool", "policy", "oncall", "handover",
    "plane", "breaker", "runtime", "run", "outcome", "incident",
]  # fmt: skip


class Need(Shown):
    """One thing that needs a person now; ranked by `risk`, then by `score` (harm × urgency)."""

    need: str
    """Stable id, e.g. `request/req_01…`."""
    kind: NeedKind
    subject: str
    """Id or name to open."""
    score: int
    risk: Risk
    text: str
    """What is the matter, in words."""
    todo: str
    """What a person can do, in words."""
    due_at: int | None = None
    since: int
    agent: str | None = None
    mine: bool = True


class EventRow(Shown):
    """One entry of the ledger."""

    sequence: int
    at: int
    type: str
    actor: str
    subject: str
    agent: str | None = None
    run: str | None = None
    request: str | None = None
    text: str
    """The entry in words."""
    body: dict[str, Any] = Field(default_factory=dict)
    chain_hash: str = ""


class File(Sent):
    """One file of a directory to apply."""

    path: str = Field(max_length=400)
    text: str = Field(max_length=1_000_000)


class Apply(Sent):
    """Plan or apply a directory of contracts and policies."""

    files: tuple[File, ...] = Field(max_length=2000)
    dry_run: bool = False
    prune: bool = False
    plan: str | None = None
    """Digest of the plan that was shown; applying refuses if the plan has changed since."""


class PlanLine(Shown):
    """One change that applying would make."""

    change: Literal["create", "update", "delete", "unchanged"]
    kind: str
    name: str
    path: str | None = None
    diff: str = ""


class Plan(Shown):
    """What applying would change, or has changed."""

    lines: tuple[PlanLine, ...]
    digest: str
    applied: bool
    warnings: tuple[str, ...] = ()


class AdvanceClock(Sent):
    """Drive a rehearsal clock forward."""

    advance_seconds: float = Field(ge=0, le=366 * 86_400)


class UpstreamRow(Shown):
    """An upstream or provider and how it does."""

    name: str
    kind: Literal["mcp-http", "mcp-stdio", "model"]
    state: Literal["up", "down", "unknown"]
    tools: int = 0
    detail: str = ""
    since: int | None = None
