"""Models: providers and how they do, logical models, and why calls were routed as they were."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

from watchkeeper.wire.base import Shown

Protocol = Literal["openai", "anthropic"]
Endpoint = Literal["chat_completions", "responses", "embeddings", "messages", "count_tokens"]
Strategy = Literal["first", "cheapest", "fastest"]
"""Which target of a model is asked first; the others are its fallbacks, in order."""
RouteCause = Literal["named", "contract", "risk", "policy", "budget", "canary", "ensemble"]
"""Why a logical model answers: it was named, a condition of contract or model escalated the call,
the run's risk, a policy, a budget that degrades, a canary, an ensemble of several."""


class TargetShown(Shown):
    """A provider's model."""

    provider: str
    model: str


class Leg(Shown):
    """One of several logical models that answer the same call."""

    model: str
    targets: tuple[TargetShown, ...] = ()
    """In the order in which they are tried."""


class Routed(Shown):
    """Where a permitted model call goes, and why."""

    model: str
    """The logical model that answers."""
    cause: RouteCause = "named"
    strategy: Strategy = "first"
    reason: str
    """In words, for header, event and screen."""
    targets: tuple[TargetShown, ...] = ()
    """In the order in which they are tried."""
    ensemble: tuple[Leg, ...] = ()
    """Where several answer: the logical models, the adjudicator last."""
    stronger: Leg | None = None
    """Who answers where the answer of `model` does not do."""

    @cached_property
    def legs(self) -> tuple[Leg, ...]:
        """All that may answer, in order."""
        if self.ensemble:
            return self.ensemble
        first = Leg(model=self.model, targets=self.targets)
        return (first,) if self.stronger is None else (first, self.stronger)


class ProviderModelRow(Shown):
    """A provider's model with its price in micro-dollars per million tokens."""

    name: str
    context_window: int
    input_micros: int | None
    """None: nobody knows the price, so its calls are refused where a budget is strict."""
    output_micros: int | None
    cache_read_micros: int | None = None
    cache_write_micros: int | None = None
    tiers: int = 0
    price_source: str = ""
    """`document`, or the price data with its version."""
    latency_p50_ms: int | None = None
    """Of the last five minutes."""
    latency_p95_ms: int | None = None


class ProviderRow(Shown):
    """A provider, as the calls that agents made of it show."""

    name: str
    protocol: Protocol
    region: str
    retention: str
    state: Literal["up", "down", "unknown"]
    detail: str = ""
    since: int | None = None
    calls: int = 0
    """In the last five minutes, as is all that follows. Who sees some teams only is shown their
    calls, errors and retries, and no fallbacks."""
    errors: int = 0
    retries: int = 0
    fallbacks: int = 0
    """Calls that another target answered because this one did not."""
    latency_p50_ms: int | None = None
    latency_p95_ms: int | None = None
    first_token_p50_ms: int | None = None
    first_token_p95_ms: int | None = None
    in_flight: int = 0
    spend_today_micros: int = 0
    models: tuple[ProviderModelRow, ...] = ()


class RouteCount(Shown):
    """How often calls of a model were routed for one reason, today."""

    cause: RouteCause
    model: str
    """The logical model that answered."""
    reason: str
    calls: int


class ModelRow(Shown):
    """A logical model."""

    name: str
    strategy: Strategy
    targets: tuple[TargetShown, ...] = ()
    leads_to: tuple[str, ...] = ()
    """Other logical models that may answer in its place."""
    calls_today: int = 0
    errors_today: int = 0
    spend_today_micros: int = 0
    tokens_in_today: int = 0
    tokens_out_today: int = 0
    cache_hits_today: int = 0
    cache: str | None = None
    """Its cache in words, e.g. `team, 1 h`; None: none."""
    routes: tuple[RouteCount, ...] = ()
    agents: tuple[str, ...] = ()
    """Whose contracts name it."""
    counted_since: int | None = None
    """From when on today's figures count, where there was too much to count all of the day."""


class TierShown(Shown):
    """Other prices for calls of a longer input, for all their tokens."""

    above_input_tokens: int
    input_micros: int
    output_micros: int
    cache_read_micros: int | None = None
    cache_write_micros: int | None = None


class KnownPrice(Shown):
    """What the price data that comes with the plane says of a provider's model, in
    micro-dollars per million tokens.
    """

    provider: str
    """As the price data calls it; documents name both as `price_of: provider:model`."""
    model: str
    input_micros: int
    output_micros: int
    cache_read_micros: int | None = None
    cache_write_micros: int | None = None
    tiers: tuple[TierShown, ...] = ()
    context_window: int | None = None
    version: str
    """Of the price data."""
