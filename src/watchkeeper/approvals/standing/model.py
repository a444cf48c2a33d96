"""What a standing approval allows, and what is asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from watchkeeper.core.clock import utc_text
from watchkeeper.core.digest import canonical, digest
from watchkeeper.core.money import dollars
from watchkeeper.wire.decisions import Risk
from watchkeeper.wire.quorum import Groups

MOST_FOR_ONE = 50
"""Standing approvals of one agent for one tool, proposed ones included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is asked for: exactly what the digest covers and approvers read.

    `contract`, `tool_digest` and `definition` are digests of the agent's contract, the tool's
    contract and the upstream's definition of it: once one of them changes, it ends.
    """

    agent: str
    agent_version: int
    contract: str
    tool: str
    tool_digest: str
    definition: str | None
    pins: Mapping[str, Any]
    uses: int
    seconds: int
    each_micros: int | None
    total_micros: int | None
    reason: str
    proposed_by: str

    def shown(self) -> dict[str, Any]:
        """Return them as approvers read them and the digest covers them."""
        return {
            "agent": self.agent,
            "agent_version": self.agent_version,
            "contract": self.contract,
            "definition": self.definition,
            "each_micros": self.each_micros,
            "pins": dict(self.pins),
            "proposed_by": self.proposed_by,
            "reason": self.reason,
            "seconds": self.seconds,
            "tool": self.tool,
            "tool_contract": self.tool_digest,
            "total_micros": self.total_micros,
            "uses": self.uses,
        }

    @property
    def digest(self) -> str:
        """The digest that votes are bound to."""
        return digest("watchkeeper/standing/v1", self.shown())

    def words(self) -> str:
        """Say it in one sentence."""
        pinned = ", ".join(
            f"{name} {canonical(value).decode()[:80]}" for name, value in sorted(self.pins.items())
        )
        text = f"let {self.agent} call {self.tool}" + (
            f" with {pinned}" if pinned else " with any arguments"
        )
        text += f", at most {self.uses} {'time' if self.uses == 1 else 'times'}"
        text += f" within {lasting(self.seconds)}"
        if self.each_micros is not None:
            text += f", at most {dollars(self.each_micros)} each"
        if self.total_micros is not None:
            text += f" and {dollars(self.total_micros)} in all"
        return text


def lasting(seconds: int) -> str:
    """Return a duration in words, with nothing left out: `7 d`, `1 d 12 h`, `1 h 30 m`."""
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    parts = [(days, "d"), (hours, "h"), (rest // 60, "m"), (rest % 60, "s")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingApproval:
    """One that stands, as far as deciding looks at it."""

    standing: str
    contract: str
    agent_version: int
    tool_digest: str
    definition: str | None
    pins: Mapping[str, bytes]
    """Argument → the canonical form of its one value."""
    uses_left: int
    each_micros: int | None
    money_left: int | None
    expires_at: int
    risk: Risk
    groups: Groups
    signed: bool
    """Whether its votes were signed."""
    by: tuple[str, ...]
    """Who approved it."""
    people: frozenset[str]
    """Keys of who approved or proposed it: nothing is done with it on their behalf."""

    def words(self) -> str:
        """Say what it is and who approved it."""
        return (
            f"standing approval {self.standing} by {', '.join(self.by)}, "
            f"until {utc_text(self.expires_at)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One action that needs approval, as it is asked of what stands."""

    contract: str
    agent_version: int
    tool_digest: str
    definition: str | None
    arguments: Mapping[str, Any]
    amount_micros: int
    risk: Risk
    groups: Groups
    signed: bool
    on_behalf_of: frozenset[str]
    """Keys of the person it is done for, by every name."""
    now: int
