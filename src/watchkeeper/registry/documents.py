"""Every kind of document that can be applied, beside the agent contract."""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from watchkeeper.core.errors import Invalid
from watchkeeper.registry.contract import AgentContract, Micros, Part, Text
from watchkeeper.registry.patterns import compile_pattern
from watchkeeper.wire.base import NAME, Name
from watchkeeper.wire.budgets import Period
from watchkeeper.wire.decisions import Risk

CredentialReference = Annotated[str, Field(pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$")]


class ObjectExtractor(Part):
    """Which argument names the business object an action is about."""

    kind: Name
    id: str = Field(max_length=60)
    """The argument that holds the object's id."""


class Never(Part):
    """A pattern over one argument that the tool must never be called with."""

    argument: str = Field(max_length=60)
    pattern: str = Field(max_length=500)
    why: Text

    @field_validator("pattern")
    @classmethod
    def _compile(cls, value: str) -> str:
        try:
            compile_pattern(value)
        except Invalid as error:
            raise ValueError(f"{error.message}; {error.remedy}") from error
        return value


class PreviewChange(Part):
    """One line of the diff: a field of the preview's result against an argument."""

    field: str = Field(max_length=60)
    after: str = Field(max_length=60)


class Preview(Part):
    """A read-only tool call that shows what an action would change."""

    tool: Name
    arguments: dict[str, str]
    """Argument of the preview tool ← argument of the action."""
    changes: tuple[PreviewChange, ...] = ()


class ToolContract(Part):
    """What one tool does, may never do, and how risky it is."""

    name: Name
    upstream: Name | None = None
    """Absent for a tool that the agent performs itself and only asks about."""
    upstream_tool: str | None = Field(None, max_length=128)
    does: Text
    access: Literal["read", "write"] = "write"
    risk: Risk = "medium"
    tags: tuple[Name, ...] = ()
    region: Name = "eu"
    amount_usd: str | None = Field(None, max_length=60)
    """The argument that holds the money moved, in dollars."""
    business_object: ObjectExtractor | None = None
    rollback: Text = "No rollback path is declared."
    blast_radius: Text = "Not declared."
    input_schema: dict[str, Any] | None = None
    never: tuple[Never, ...] = ()
    preview: Preview | None = None
    timeout_seconds: int = Field(30, ge=1, le=3600)

    @model_validator(mode="after")
    def _check(self) -> ToolContract:
        if self.preview and self.preview.tool == self.name:
            raise ValueError("preview.tool: a tool can't preview itself")
        return self


class CredentialUse(Part):
    """A credential by reference and where it is injected; agents never hold it."""

    source: CredentialReference = Field(alias="from")
    header: str = Field("Authorization", max_length=100)
    prefix: str = Field("Bearer ", max_length=40)
    environment: str | None = Field(None, max_length=100)
    """For stdio upstreams: the variable the child process gets it in."""


class Upstream(Part):
    """An MCP server that the plane fronts."""

    name: Name
    transport: Literal["http", "stdio"]
    url: str | None = Field(None, max_length=500, pattern=r"^https?://")
    command: tuple[str, ...] = ()
    credential: CredentialUse | None = None

    @model_validator(mode="after")
    def _check(self) -> Upstream:
        if self.transport == "http" and not self.url:
            raise ValueError("url: an http upstream needs one")
        if self.transport == "stdio" and not self.command:
            raise ValueError("command: a stdio upstream needs one")
        return self


class ProviderModel(Part):
    """A provider's model with its price (dollars per million tokens) and context window."""

    name: str = Field(max_length=120)
    input_usd_per_million: Micros
    output_usd_per_million: Micros
    context_window: int = Field(128_000, ge=1)


class Provider(Part):
    """A model provider that speaks the OpenAI protocol."""

    name: Name
    base_url: str = Field(max_length=500, pattern=r"^https?://")
    region: Name = "eu"
    credential: CredentialUse | None = None
    models: tuple[ProviderModel, ...]
    timeout_seconds: int = Field(120, ge=1, le=3600)


class LogicalModel(Part):
    """The name agents call a model by, and what stands behind it."""

    name: Name
    provider: Name
    provider_model: str = Field(max_length=120)


class Role(Part):
    """Who may be asked: `owner` is the person who runs the plane, `*` any known person."""

    name: Name
    members: tuple[Annotated[str, Field(max_length=63)], ...]


class EscalationLevel(Part):
    """Who is asked next, and how long after the request was made."""

    role: Name
    after_seconds: int = Field(0, ge=0, le=30 * 86_400)


class Escalation(Part):
    """An escalation policy: levels in order, reminders between them."""

    name: Name
    levels: tuple[EscalationLevel, ...] = Field(min_length=1, max_length=10)
    remind_every_seconds: int | None = Field(None, ge=1, le=7 * 86_400)

    @field_validator("levels")
    @classmethod
    def _rise(cls, value: tuple[EscalationLevel, ...]) -> tuple[EscalationLevel, ...]:
        delays = [level.after_seconds for level in value]
        if delays[0] != 0 or any(b <= a for a, b in itertools.pairwise(delays)):
            raise ValueError("after_seconds must start at 0 and rise from level to level")
        return value


class BudgetLimits(Part):
    """Caps of one budget; what is not named is not capped."""

    tool_calls: int | None = Field(None, ge=0)
    input_tokens: int | None = Field(None, ge=0)
    output_tokens: int | None = Field(None, ge=0)
    tokens: int | None = Field(None, ge=0)
    spend_usd: Micros | None = None


class Budget(Part):
    """A cap over a team, an agent or everything, per period (UTC)."""

    name: Name
    scope: str = Field(pattern=f"^(all|(team|agent)/{NAME})$")
    period: Period
    limits: BudgetLimits


class Policy(Part):
    """One Cedar file."""

    name: Name
    text: str = Field(max_length=1_000_000)


Document = (
    AgentContract
    | ToolContract
    | Upstream
    | Provider
    | LogicalModel
    | Role
    | Escalation
    | Budget
    | Policy
)

KINDS: dict[str, type[Document]] = {
    "agent": AgentContract,
    "tool": ToolContract,
    "upstream": Upstream,
    "provider": Provider,
    "model": LogicalModel,
    "role": Role,
    "escalation": Escalation,
    "budget": Budget,
    "policy": Policy,
}
"""The root key of a document and what it holds; `policy` documents are *.cedar files."""
