"""Which price a provider's model has: its document's own, or the one that is known of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from watchkeeper.models.prices import Price, Rates, Tier
from watchkeeper.registry.providers import LogicalModel, PriceTier, Provider, ProviderModel
from watchkeeper.wire.models import Endpoint, Protocol

KnownPrices = Mapping[tuple[str, str], Price]
"""Provider and its model → price, for those whose documents give none."""

_SERVES: Mapping[Protocol, frozenset[Endpoint]] = {
    "openai": frozenset({"chat_completions", "responses", "embeddings"}),
    "anthropic": frozenset({"messages", "count_tokens"}),
}


@dataclass(frozen=True, slots=True)
class GovernedTarget:
    """A provider's model behind a logical one, with what it costs there."""

    provider: Provider
    model: ProviderModel
    price: Price | None
    """None: nobody knows."""

    def serves(self, endpoint: Endpoint) -> bool:
        """Tell whether calls of an endpoint can go there; nothing is translated."""
        provider = self.provider
        return endpoint in _SERVES[provider.protocol] and (
            not provider.endpoints or endpoint in provider.endpoints
        )


@dataclass(frozen=True, slots=True)
class GovernedModel:
    """A logical model in force, with the targets that documents describe."""

    document: LogicalModel
    targets: tuple[GovernedTarget, ...]
    """In the document's order; none only where it is an ensemble."""
    kept: dict[Any, Any] = field(default_factory=dict, init=False, compare=False, repr=False)
    """What gates worked out of it and of what else is in force; bounded by who keeps it here."""

    @property
    def primary(self) -> GovernedTarget | None:
        """The first target; None for an ensemble."""
        return self.targets[0] if self.targets else None


def dearest(
    targets: Iterable[GovernedTarget],
    input_tokens: int,
    output_tokens: int,
    *,
    writes_cache: bool = True,
) -> int | None:
    """Return what a call costs at most that uses no more than so much, whichever target takes
    it, in micro-dollars; None where nobody knows what one of them costs.
    """
    most = 0
    for target in targets:
        if target.price is None:
            return None
        most = max(
            most, target.price.dearest(input_tokens, output_tokens, writes_cache=writes_cache)
        )
    return most


def govern_model(
    model: LogicalModel, providers: Mapping[str, Provider], known: KnownPrices
) -> GovernedModel | None:
    """Return a logical model with its targets; None where no document describes any."""
    found = [
        GovernedTarget(provider, offered, price_of(provider, offered, known))
        for target in model.served_by
        if (provider := providers.get(target.provider)) is not None
        for offered in provider.models
        if offered.name == target.model
    ]
    return GovernedModel(model, tuple(found)) if found or model.ensemble else None


def price_of(provider: Provider, offered: ProviderModel, known: KnownPrices) -> Price | None:
    """Return what a provider's model costs; what its document says comes first."""
    if offered.input_usd_per_million is None or offered.output_usd_per_million is None:
        return known.get((provider.name, offered.name))
    rates = Rates(
        offered.input_usd_per_million,
        offered.output_usd_per_million,
        offered.cache_read_usd_per_million,
        offered.cache_write_usd_per_million,
    )
    tiers = tuple(Tier(one.above_input_tokens, _rates_of(one)) for one in offered.tiers)
    return Price(rates, tiers, offered.batch_discount_percent)


def _rates_of(tier: PriceTier) -> Rates:
    return Rates(
        tier.input_usd_per_million,
        tier.output_usd_per_million,
        tier.cache_read_usd_per_million,
        tier.cache_write_usd_per_million,
    )
