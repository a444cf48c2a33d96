"""The agent contract: the YAML that governs one agent."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from watchkeeper.registry.parts import Micros, Part, RateLimit, Text
from watchkeeper.registry.providers import EscalateOn
from watchkeeper.wire.base import Name
from watchkeeper.wire.data import RedactionLevel


class ModelRouting(Part):
    """Which logical models the agent may call."""

    default: Name
    escalate_to: Name | None = None
    """The stronger model; absent: the one that `default` escalates to by its own document."""
    escalate_on: tuple[EscalateOn, ...] = ()
    allowed: tuple[Name, ...] = ()
    hosted_tools: Literal["refuse", "strip"] = "refuse"
    """What becomes of a call that asks for a tool that the provider runs itself and that the
    allowlist does not name as `hosted.KIND` (`hosted.web_search`, `hosted.mcp.LABEL`)."""
    cache: bool = True
    """Whether it may be given answers that the same call had before."""

    @property
    def models(self) -> tuple[str, ...]:
        """Every logical model the contract lets the agent name, in the order it names them."""
        named = (
            self.default,
            *((self.escalate_to,) if self.escalate_to else ()),
            *self.allowed,
        )
        return tuple(dict.fromkeys(named))

    def names(self, model: str) -> bool:
        """Tell whether the contract lets the agent name a model."""
        return model in (self.default, self.escalate_to) or model in self.allowed


class ContractBudgets(Part):
    """Ceilings on each run of the agent, and on each call. Tokens are summed over the run."""

    max_steps: int | None = Field(None, ge=1)
    """Tool calls in one run."""
    max_input_tokens: int | None = Field(None, ge=1)
    max_output_tokens: int | None = Field(None, ge=1)
    max_cost_usd_per_run: Micros | None = None
    max_retries: int | None = Field(None, ge=0)
    max_wall_seconds: int | None = Field(None, ge=1)
    """How long after it was opened a run may still act."""
    max_objects: int | None = Field(None, ge=1)
    """Different business objects that one run may touch."""
    max_value_usd: Micros | None = None
    """Money that the tool calls of one run may move."""
    max_messages: int | None = Field(None, ge=0)
    max_risk_points: int | None = Field(None, ge=0)
    max_input_tokens_per_call: int | None = Field(None, ge=1)
    max_output_tokens_per_call: int | None = Field(None, ge=1)
    """A call that asks for more gets so many, and is told."""
    max_cost_usd_per_call: Micros | None = None


class AllowedTool(Part):
    """One tool the agent may use."""

    name: Name
    requires_approval: bool = False


class ContractTools(Part):
    """The allowlist; whatever it does not name is refused."""

    allowlist: tuple[AllowedTool, ...] = ()

    @field_validator("allowlist")
    @classmethod
    def _refuse_doubles(cls, value: tuple[AllowedTool, ...]) -> tuple[AllowedTool, ...]:
        names = [tool.name for tool in value]
        doubles = sorted({name for name in names if names.count(name) > 1})
        if doubles:
            raise ValueError(f"listed more than once: {', '.join(doubles)}")
        return value


class TrustedWorkload(Part):
    """A workload that may act as the agent: what a trusted issuer says of it."""

    issuer: Name
    """An issuer document."""
    subject: str = Field(min_length=1, max_length=500)
    """The `sub` claim, whole: a SPIFFE id, a repository and its branch."""
    claims: dict[str, str] = Field(default_factory=dict, max_length=20)
    """Other claims that must be exactly so."""


class ContractIdentity(Part):
    """How the agent acts for others, and how long its run tokens live."""

    mode: Literal["own", "on_behalf_of"] = "own"
    token_ttl_seconds: int = Field(900, ge=30, le=86_400)
    verified: bool = False
    """Whether on whose behalf it acts must be proven by a token, never only said."""
    workloads: tuple[TrustedWorkload, ...] = ()
    delegates_to: tuple[Name, ...] = ()
    """Agents that it may open child runs for."""
    delegation_depth: int = Field(2, ge=0, le=8)
    """How many runs deep its work may be handed on."""


class ContractApprovals(Part):
    """How the agent's held actions are decided when no policy says otherwise."""

    role: Name | None = None
    """Who is asked first; the owner when absent."""
    escalation: Name | None = None
    sla_seconds: int = Field(1800, ge=5, le=30 * 86_400)
    hold_seconds: int = Field(4, ge=0, le=3600)
    """How long a gateway keeps the caller waiting before it answers `pending`."""
    max_pending: int = Field(50, ge=1, le=10_000)
    """How many of the agent's requests may wait for a person at a time."""
    timeout: Literal["deny", "allow"] = "deny"
    """What happens when nobody decides in time; `allow` counts for low risk only."""
    callbacks: tuple[Name, ...] = Field((), max_length=20)
    """Webhooks that the agent may ask to be told by."""


class PromptTemplate(Part):
    """A prompt that was reviewed, by the SHA-256 of its text."""

    name: Name
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")


class ContractContext(Part):
    """What may be put before a model."""

    max_window_tokens: int | None = Field(None, ge=1)
    """The most that one call may hold, input and output together."""
    prompt_templates: tuple[PromptTemplate, ...] = ()
    """When any is named, a model call must carry one of them."""


class ContractMemory(Part):
    """Memory stores that the agent may read and write."""

    read: tuple[Name, ...] = ()
    write: tuple[Name, ...] = ()


class ContractLogging(Part):
    """How much of the agent's work is recorded."""

    trace_level: Literal["off", "metadata", "full"] = "full"
    pii_redaction: RedactionLevel = "standard"
    zero_retention: bool = False
    """Of model calls only metadata is kept: nothing is cached, no text of provider or agent is
    stored, and only providers whose terms say `retention: zero` are used."""

    @field_validator("trace_level", "pii_redaction", mode="before")
    @classmethod
    def _read_off(cls, value: Any) -> Any:
        """YAML 1.1 reads a bare `off` as false."""
        return "off" if value is False else value


class ContractHealth(Part):
    """What is heard of the agent's open runs when all is well."""

    heartbeat_seconds: int | None = Field(None, ge=5, le=86_400)
    """How often an open run says that it lives; whatever it asks for says so too."""
    silent_after_seconds: int | None = Field(None, ge=10, le=7 * 86_400)
    """After how long without a sign a run is silent, and after twice as long lost; absent: three
    heartbeats, or five minutes where none are promised."""
    stuck_after_seconds: int | None = Field(None, ge=10, le=7 * 86_400)
    """How long a run that lives may get nowhere; absent: fifteen minutes."""
    expect_every_seconds: int | None = Field(None, ge=60, le=31 * 86_400)
    """How often the agent does something at least, runs open or not; absent: as it comes."""

    @model_validator(mode="after")
    def _check_times(self) -> ContractHealth:
        every, silent = self.heartbeat_seconds, self.silent_after_seconds
        if every is not None and silent is not None and silent <= every:
            raise ValueError(
                f"silent_after_seconds ({silent}) must be longer than heartbeat_seconds ({every})"
            )
        return self


class AgentContract(Part):
    """Everything an agent may do, spend and touch."""

    name: Name
    owner: Name
    """The role or team that answers for the agent."""
    mission: Text | None = None
    business_process: Text | None = None
    namespace: Name = "default"
    project: Name | None = None
    """What its costs are booked to, beside its team."""
    tags: tuple[Name, ...] = ()
    autonomy: Literal["observe", "propose", "act"] = "act"
    environments: tuple[Name, ...] = ("production",)
    regions: tuple[Name, ...] = ()
    """Where its tools and models may be; empty: anywhere."""
    rollback: Text | None = None
    """How what it did is taken back."""
    shutdown: Text | None = None
    """How it is stopped without breaking the work around it."""
    runtime: str | None = Field(None, max_length=500)
    """Where it runs: the address of its runtime."""
    context: ContractContext = ContractContext()
    memory: ContractMemory = ContractMemory()
    rate_limit: RateLimit | None = None
    model_routing: ModelRouting | None = None
    budgets: ContractBudgets = ContractBudgets()
    tools: ContractTools = ContractTools()
    approvals: ContractApprovals = ContractApprovals()
    identity: ContractIdentity = ContractIdentity()
    logging: ContractLogging = ContractLogging()
    health: ContractHealth = ContractHealth()
