"""What the policy engine is asked and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from watchkeeper.wire.decisions import Risk

ActionName = Literal["use_tool", "call_model"]


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """What policies may know of an agent."""

    name: str
    namespace: str = "default"
    team: str = ""
    tags: tuple[str, ...] = ()
    autonomy: str = "act"


@dataclass(frozen=True, slots=True)
class ResourceFacts:
    """What policies may know of a tool or a model."""

    kind: Literal["Tool", "Model"]
    name: str
    region: str = "eu"
    tags: tuple[str, ...] = ()
    access: str = "read"
    risk: str = "low"


@dataclass(frozen=True, slots=True)
class Question:
    """One action put to the policies. Amounts in micro-dollars."""

    agent: str
    action: ActionName
    resource_kind: Literal["Tool", "Model"]
    resource: str
    environment: str
    amount_micros: int = 0
    estimated_tokens: int = 0
    approvals: frozenset[str] = frozenset()
    """Roles that have approved exactly this action."""


@dataclass(frozen=True, slots=True)
class Obligation:
    """An approval that a policy asks for."""

    policy: str
    role: str
    message: str
    escalation: str | None = None
    sla_seconds: int | None = None
    risk: Risk | None = None


@dataclass(frozen=True, slots=True)
class PolicyAnswer:
    """permit, deny, or ask a person; with the policy that decided."""

    verdict: Literal["permit", "deny", "ask"]
    policy: str
    message: str
    asks: tuple[Obligation, ...] = ()
    errors: tuple[str, ...] = field(default=())
