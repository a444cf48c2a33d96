"""An approval request as it is opened, what it waits for, and what it grants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from watchkeeper.core.errors import Invalid
from watchkeeper.oncall.model import EscalationPolicy, Level
from watchkeeper.wire.decisions import Risk
from watchkeeper.wire.requests import Change, RequestState

GRANT_SECONDS = 300
"""How long an approval may wait to be used."""

TimeoutOutcome = Literal["deny", "allow"]

STATES: tuple[RequestState, ...] = get_args(RequestState)
OPEN: frozenset[RequestState] = frozenset({"pending", "approved"})
"""States in which the same action asked again is the same request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRequest:
    """Everything that is snapshotted when an action is held for approval.

    `digest` names exactly what is approved and `canonical` is the text it covers;
    `arguments` are shown from it. `excluded` lists everybody who may not vote beside the
    agent and `on_behalf_of`: their aliases and delegates. `told` is what the ledger says of
    `asks`, where it may not say all of it. Raises :class:`Invalid` for a
    quorum or time below one, and for `allow` at a deadline unless the risk is low.
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
    levels: tuple[Level, ...]
    sla_seconds: int
    rule: str
    rule_text: str
    blast_radius: str
    rollback: str
    epoch: int
    reversible: bool | None = None
    """Whether `rollback` undoes it; None: nobody has said."""
    quorum: int = 1
    remind_every_seconds: int | None = None
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
    told: str | None = None

    def __post_init__(self) -> None:
        EscalationPolicy(self.levels, self.remind_every_seconds)
        for name in ("quorum", "sla_seconds", "grant_seconds"):
            if getattr(self, name) < 1:
                raise Invalid(f"{name} must be at least 1", where=name)
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


@dataclass(frozen=True, slots=True)
class Barrier:
    """Why somebody may not vote; `code` is for programs."""

    code: Literal[
        "already_decided", "expired", "already_voted", "separation_of_duties", "role_missing",
        "not_asked_yet",
    ]  # fmt: skip
    text: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Pending requests: all, those a person may decide, those past their first level."""

    pending: int
    waiting: int
    late: int
