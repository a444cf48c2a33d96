"""Standing approvals: what people agreed to beforehand, within which bounds."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from watchkeeper.wire.base import Name, Reason, Sent, Shown
from watchkeeper.wire.decisions import Risk
from watchkeeper.wire.requests import Group

LONGEST_SECONDS = 30 * 86_400
"""How long a standing approval may stand."""
MOST_USES = 10_000
MOST_PINS = 20

StandingState = Literal["proposed", "standing", "refused", "ended"]
"""proposed → standing → ended; or refused: rejected, expired undecided, or taken back."""


class StandingRow(Shown):
    """One standing approval: who may do what, how often, until when, and how it goes."""

    standing: str
    state: StandingState
    agent: str
    tool: str
    pins: dict[str, Any]
    """Arguments and the exact values they must have; the others are free."""
    uses: int
    max_uses: int
    each_micros: int | None = None
    """The most money that one call may move."""
    used_micros: int = 0
    total_micros: int | None = None
    """The most money that all calls together may move."""
    seconds: int
    """How long it stands once approved."""
    expires_at: int | None = None
    risk: Risk
    groups: tuple[Group, ...] = ()
    """The quorum it was, or is to be, approved under."""
    reason: str
    request: str
    """The approval request that decides, or decided, it."""
    proposed_by: str
    proposed_at: int
    approved_by: tuple[str, ...] = ()
    approved_at: int | None = None
    last_used_at: int | None = None
    ended_at: int | None = None
    ended_by: str | None = None
    ended_why: str | None = None


class ProposeStanding(Sent):
    """Ask for a standing approval: agent and tool with pins, or a request to take them from.

    With `request`, `pin` names the arguments whose values are taken from it.
    """

    agent: Name | None = None
    tool: Name | None = None
    pins: dict[str, Any] = Field(default_factory=dict, max_length=MOST_PINS)
    request: str | None = Field(None, max_length=100)
    pin: tuple[str, ...] = Field((), max_length=MOST_PINS)
    uses: int = Field(ge=1, le=MOST_USES)
    seconds: int = Field(ge=60, le=LONGEST_SECONDS)
    each_micros: int | None = Field(None, ge=0, le=10**15)
    total_micros: int | None = Field(None, ge=0, le=10**15)
    reason: Reason

    @model_validator(mode="after")
    def _check(self) -> ProposeStanding:
        if self.request is None:
            if self.agent is None or self.tool is None:
                raise ValueError("name agent and tool, or a request to take them from")
            if self.pin:
                raise ValueError("pin: needs a request to take the values from; or use pins")
        elif self.agent is not None or self.tool is not None or self.pins:
            raise ValueError("with a request, agent, tool and values are taken from it")
        return self


class EndStanding(Sent):
    """End a standing approval, or take a proposal back."""

    reason: Reason
