"""Every kind of document that can be applied, beside the agent contract."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from watchkeeper.core.errors import Invalid
from watchkeeper.registry.contract import AgentContract
from watchkeeper.registry.parts import Part, RateLimit, Text
from watchkeeper.registry.patterns import compile_pattern
from watchkeeper.registry.people import OperatorRole, Person
from watchkeeper.registry.providers import LogicalModel, Provider
from watchkeeper.registry.questions import Question
from watchkeeper.registry.references import CredentialUse, Url
from watchkeeper.registry.runtimes import Runtime
from watchkeeper.registry.spending import Breaker, Budget
from watchkeeper.registry.watch import (
    Channel,
    Escalation,
    QuorumText,
    RiskClass,
    Schedule,
    Webhook,
    roles_in,
)
from watchkeeper.wire.base import NAME, Name
from watchkeeper.wire.data import DataClass
from watchkeeper.wire.decisions import Risk


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


class ToolData(Part):
    """Which classes of data may pass the tool; absent: every class but secrets."""

    taken: tuple[DataClass, ...] | None = Field(None, alias="in")
    given: tuple[DataClass, ...] | None = Field(None, alias="out")


class Idempotency(Part):
    """When a call is the same call again, and for how long it then gets the first one's result.

    `arguments`: equal arguments in one run, while the first still runs or after it was
    approved; `key`: only the caller's own key says so.
    """

    by: Literal["arguments", "key"] = "arguments"
    window_seconds: int = Field(600, ge=0, le=86_400)


class ToolGate(Part):
    """The approval that every call of the tool needs."""

    role: Name
    escalation: Name | None = None
    sla_seconds: int | None = Field(None, ge=5, le=30 * 86_400)
    quorum: QuorumText | None = None
    """`2 of sre-oncall and 1 of owner`, `role` among them; absent: one of `role`."""

    @model_validator(mode="after")
    def _check(self) -> ToolGate:
        if self.quorum and self.role not in roles_in(self.quorum):
            raise ValueError(f"quorum: name {self.role} too, which is asked first")
        return self


EditKind = Literal["lower", "fewer", "words"]
"""lower: a smaller number, not below zero; fewer: some of a list's items; words: any text."""


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
    retrieves: Name | None = None
    """For a tool that retrieves what an agent then knows: from which source, such as a knowledge
    base. Its calls are told as retrieval."""
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
    output_schema: dict[str, Any] | None = None
    """What a result must look like; one that does not is withheld."""
    data: ToolData = ToolData()
    reversible: bool | None = None
    """Whether `rollback` undoes it; None: nobody has said."""
    rate_limit: RateLimit | None = None
    idempotency: Idempotency = Idempotency()
    approval: ToolGate | None = None
    edits: dict[str, EditKind] = Field(default_factory=dict, max_length=20)
    """Arguments that an approver may narrow before approving, and how; `amount_usd` may always
    be lowered."""
    display: str | None = Field(None, max_length=300)
    """What approvers read, with arguments in braces: `Refund {amount_usd} on {charge_id}`."""
    blast_preview: Preview | None = None
    """A read-only tool call that shows what an action would reach."""
    pin: str | None = Field(None, pattern=r"^sha256:[0-9a-f]{64}$")
    """Digest of the upstream's definition that is trusted; another is quarantined."""

    @property
    def offered_as(self) -> str:
        """What its upstream calls it."""
        return self.upstream_tool or self.name

    @model_validator(mode="after")
    def _check(self) -> ToolContract:
        for field, preview in (("preview", self.preview), ("blast_preview", self.blast_preview)):
            if preview and preview.tool == self.name:
                raise ValueError(f"{field}.tool: a tool can't preview itself")
        if self.retrieves and self.access != "read":
            raise ValueError("retrieves: a tool that retrieves only reads; say `access: read`")
        return self


class Upstream(Part):
    """An MCP server that the plane fronts."""

    name: Name
    transport: Literal["http", "stdio"]
    url: Url | None = None
    command: tuple[str, ...] = ()
    credential: CredentialUse | None = None
    allow_private: bool = False
    """Whether its host name may resolve to an address inside a private network."""
    direct_audience: str | None = Field(None, min_length=1, max_length=500)
    """For an upstream that verifies tokens and decides by itself: the `aud` of the JWTs that
    agents may ask for and present to it directly. Absent: none may."""

    @model_validator(mode="after")
    def _check(self) -> Upstream:
        minted = self.credential.minted if self.credential else None
        if self.direct_audience and minted and self.direct_audience == minted.audience:
            raise ValueError(
                "direct_audience: agents would hold what the plane's own calls are known by"
            )
        if self.transport == "http" and not self.url:
            raise ValueError("url: an http upstream needs one")
        if self.transport == "stdio" and not self.command:
            raise ValueError("command: a stdio upstream needs one")
        if self.transport == "stdio" and minted:
            raise ValueError("credential.minted: a child process cannot be given one for each call")
        return self


class Role(Part):
    """Who may be asked: `owner` is the person who runs the plane, `*` any known person."""

    name: Name
    members: tuple[Annotated[str, Field(max_length=63)], ...] = ()
    schedules: tuple[Name, ...] = Field((), max_length=20)
    """Whoever is on call in one of these holds the role, for as long."""

    @model_validator(mode="after")
    def _check(self) -> Role:
        if not self.members and not self.schedules:
            raise ValueError("members: a role needs members, or schedules")
        return self


class Rate(Part):
    """So many calls in a time, over a team or everything."""

    name: Name
    scope: str = Field(pattern=f"^(all|team/{NAME})$")
    limit: RateLimit


class Issuer(Part):
    """Whose signed tokens the plane believes, and about whom: workloads, people or both."""

    name: Name
    issuer: str = Field(max_length=500, pattern=r"^https?://|^spiffe://|^urn:")
    """The `iss` claim, whole."""
    audience: str = Field(min_length=1, max_length=500)
    """The `aud` claim that its tokens must bear."""
    of: Literal["workloads", "people", "both"] = "workloads"
    jwks_url: Url | None = None
    jwks: dict[str, Any] | None = None
    """Its public keys, where they are not fetched."""
    algorithms: tuple[Literal["EdDSA", "ES256", "ES384", "RS256", "PS256"], ...] = (
        "EdDSA",
        "ES256",
        "RS256",
    )
    allow_private: bool = False
    person_claim: str = Field("sub", max_length=60)
    """The claim that people are known by (`person.oidc.subject`)."""
    client_id: str | None = Field(None, max_length=200)
    """The plane's client at the issuer, for people who log in by device."""
    device_authorization_url: Url | None = None
    token_url: Url | None = None

    @model_validator(mode="after")
    def _check(self) -> Issuer:
        if (self.jwks is None) == (self.jwks_url is None):
            raise ValueError("give its keys once: jwks or jwks_url")
        return self


class Policy(Part):
    """One Cedar file: a policy set with a stage and versions of its own."""

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
    | Breaker
    | Rate
    | Issuer
    | Person
    | OperatorRole
    | Schedule
    | RiskClass
    | Webhook
    | Channel
    | Runtime
    | Question
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
    "breaker": Breaker,
    "rate": Rate,
    "issuer": Issuer,
    "person": Person,
    "operator_role": OperatorRole,
    "schedule": Schedule,
    "risk": RiskClass,
    "webhook": Webhook,
    "channel": Channel,
    "runtime": Runtime,
    "question": Question,
    "policy": Policy,
}
"""The root key of a document and what it holds; `policy` documents are *.cedar files."""
