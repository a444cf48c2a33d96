"""Model providers and the logical models that agents call, as documents."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from watchkeeper.core.errors import Invalid
from watchkeeper.registry.parts import Micros, Part, Text
from watchkeeper.registry.patterns import compile_pattern
from watchkeeper.registry.references import CredentialUse, Url
from watchkeeper.wire.base import Name
from watchkeeper.wire.decisions import Risk
from watchkeeper.wire.models import Endpoint, Protocol, Strategy


class PriceTier(Part):
    """Other prices for calls whose input is longer than so many tokens, for all their tokens."""

    above_input_tokens: int = Field(ge=1)
    input_usd_per_million: Micros
    output_usd_per_million: Micros
    cache_read_usd_per_million: Micros | None = None
    cache_write_usd_per_million: Micros | None = None


class ProviderModel(Part):
    """A provider's model: its price (dollars per million tokens) and its windows, in tokens.

    Without a price of its own it is looked up in the price data that comes with the plane; a
    model whose price nobody knows is refused under strict budgets, never free.
    """

    name: str = Field(max_length=120)
    input_usd_per_million: Micros | None = None
    output_usd_per_million: Micros | None = None
    cache_read_usd_per_million: Micros | None = None
    """Absent: cached input costs what other input costs."""
    cache_write_usd_per_million: Micros | None = None
    tiers: tuple[PriceTier, ...] = Field((), max_length=8)
    batch_discount_percent: int = Field(0, ge=0, le=100)
    price_of: str | None = Field(None, pattern=r"^[a-z0-9_.-]+:.{1,120}$")
    """`provider:model` in the price data, where the model is called otherwise there."""
    context_window: int = Field(128_000, ge=1)
    max_output_tokens: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _check(self) -> ProviderModel:
        if (self.input_usd_per_million is None) != (self.output_usd_per_million is None):
            raise ValueError("give both input_usd_per_million and output_usd_per_million")
        bounds = [tier.above_input_tokens for tier in self.tiers]
        if bounds != sorted(set(bounds)):
            raise ValueError("tiers: in rising order of above_input_tokens, each once")
        return self


class DataTerms(Part):
    """What the provider's terms say of the data that it is sent; nothing said: nothing promised."""

    retention: Literal["zero", "limited", "unknown"] = "unknown"
    residency: tuple[Name, ...] = ()
    """Regions that the data never leaves; empty: only `region` itself, as far as anybody knows."""


class Retries(Part):
    """How often a call that a provider did not take is sent again, and how much of that there
    may be: retries over the last minute stay within `budget_percent` of the calls (at least one).
    """

    attempts: int = Field(2, ge=1, le=5)
    """Sendings of one call to this provider, the first among them."""
    budget_percent: int = Field(20, ge=0, le=100)
    backoff_seconds: float = Field(0.25, ge=0, le=30)


class Provider(Part):
    """A model provider that speaks the OpenAI or the Anthropic protocol."""

    name: Name
    protocol: Protocol = "openai"
    endpoints: tuple[Endpoint, ...] = ()
    """What it serves; empty: everything of its protocol."""
    base_url: Url
    """For OpenAI's protocol up to and with `/v1`; for Anthropic's up to before it."""
    region: Name = "eu"
    terms: DataTerms = DataTerms()
    credential: CredentialUse | None = None
    allow_private: bool = False
    """Whether its host name may resolve to an address inside a private network."""
    models: tuple[ProviderModel, ...]
    timeout_seconds: int = Field(120, ge=1, le=3600)
    """For how long it may be silent."""
    retries: Retries = Retries()


class Target(Part):
    """A provider's model behind a logical one."""

    provider: Name
    model: str = Field(max_length=120)


class EscalateOn(Part):
    """One condition under which a call goes to the stronger model.

    The first three are known before the call; the others look at the smaller model's answer,
    which the agent is then not given.
    """

    tool_error_rate_gt: float | None = Field(None, ge=0, le=1)
    """Share of the run's settled tool calls that failed."""
    amount_usd_ge: Micros | None = None
    """The largest amount that the run has asked to move."""
    risk_ge: Risk | None = None
    """The highest risk of the tools that the run has asked for."""
    output_fails_schema: dict[str, Any] | None = None
    """The answer's text is no JSON, or not of this schema."""
    output_matches: str | None = Field(None, max_length=500)
    """The answer's text shows low confidence: a pattern occurs in it."""

    @field_validator("output_matches")
    @classmethod
    def _compile(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            compile_pattern(value)
        except Invalid as error:
            raise ValueError(f"{error.message}; {error.remedy}") from error
        return value

    @model_validator(mode="after")
    def _check(self) -> EscalateOn:
        if len(self.model_fields_set) != 1:
            raise ValueError("name one condition in each entry")
        return self


class Ensemble(Part):
    """Two models that answer apart, and one that answers from both."""

    models: tuple[Name, Name]
    adjudicator: Name
    instructions: Text = (
        "Two assistants answered the same request. Give the better answer, corrected where "
        "either is wrong. Answer the request itself; do not mention the assistants."
    )


class Canary(Part):
    """A share of an agent's runs, or some of its versions, that another model answers."""

    model: Name
    percent: int = Field(0, ge=0, le=100)
    """Of runs: one run stays with one model."""
    versions: tuple[str, ...] = Field((), max_length=50)
    """`agent@3`: all runs of this version, whatever the percent."""


class ResponseCache(Part):
    """Giving the answer that the same call had before, to callers who may share it."""

    scope: Literal["agent", "team"] = "agent"
    ttl_seconds: int = Field(3600, ge=1, le=30 * 86_400)


class LogicalModel(Part):
    """The name agents call a model by, and what stands behind it.

    `provider` and `provider_model` are short for one target; several targets are each other's
    fallbacks, picked from by `strategy`. `by_risk`, `ensemble` and `canary` name logical models.
    """

    name: Name
    provider: Name | None = None
    provider_model: str | None = Field(None, max_length=120)
    targets: tuple[Target, ...] = Field((), max_length=20)
    strategy: Strategy = "first"
    latency_objective_ms: int | None = Field(None, ge=1)
    """For `fastest` and `cheapest`: targets slower than this (p95) come after the others."""
    tags: tuple[Name, ...] = ()
    escalates_to: Name | None = None
    """The stronger model, for contracts that escalate without naming one."""
    escalate_on: tuple[EscalateOn, ...] = Field((), max_length=20)
    by_risk: dict[Risk, Name] = Field(default_factory=dict)
    """Which model answers a run once it has asked for a tool of this risk or a higher one."""
    ensemble: Ensemble | None = None
    canary: Canary | None = None
    cache: ResponseCache | None = None

    @property
    def served_by(self) -> tuple[Target, ...]:
        """Every target, in the order of preference."""
        if self.provider is not None and self.provider_model is not None:
            return (Target(provider=self.provider, model=self.provider_model), *self.targets)
        return self.targets

    @property
    def leads_to(self) -> tuple[str, ...]:
        """The logical models that may answer in its place."""
        named = [
            *((self.escalates_to,) if self.escalates_to else ()),
            *self.by_risk.values(),
            *((*self.ensemble.models, self.ensemble.adjudicator) if self.ensemble else ()),
            *((self.canary.model,) if self.canary else ()),
        ]
        return tuple(dict.fromkeys(named))

    @model_validator(mode="after")
    def _check(self) -> LogicalModel:
        if (self.provider is None) != (self.provider_model is None):
            raise ValueError("provider and provider_model: give both, or `targets`")
        if not self.served_by and self.ensemble is None:
            raise ValueError("targets: a model needs one, or an ensemble")
        if self.ensemble is not None and (self.served_by or self.by_risk or self.canary):
            raise ValueError("ensemble: it is answered by its models, so give nothing beside it")
        if self.name in self.leads_to:
            raise ValueError("a model can't lead to itself")
        if self.escalate_on and self.escalates_to is None:
            raise ValueError("escalate_on: name the stronger model in escalates_to")
        return self
