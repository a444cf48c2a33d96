"""The price data of the genai-prices library, read in a process of its own.

Loading it takes half a second and 39 MB, so the plane never does: `price_data` starts this
module, sends one JSON question on its standard input and reads one answer from its output.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec

from watchkeeper.models.prices import Price, Rates, Tier

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

LIBRARY = "genai-prices"
_MICROS = 1_000_000
_PERCENT = 100
_OTHERWISE = (
    "requests_kcount",
    "input_mchars",
    "audio_hours",
    "input_audio_hours",
    "input_document_kpages",
    "input_annotated_document_kpages",
    "input_text_messages_kcount",
)
"""What is charged besides tokens: of such a model the price of tokens alone says too little."""
_KINDS = ("input", "output", "cache_read", "cache_write", "cache_write_1h")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A provider's model whose price is looked for."""

    provider: str
    base_url: str
    model: str
    price_of: str | None = None
    """`provider:model`, as the data calls them."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the data: prices of some models, or all that match a text."""

    on: str
    """Today, as `2026-11-21`; days begin in UTC."""
    find: tuple[Wanted, ...] = ()
    search: str | None = None
    most: int = 100


@dataclass(frozen=True, slots=True)
class Dated:
    """A price and the day from which it counts."""

    since: str | None
    """None: it counts now."""
    price: Price


@dataclass(frozen=True, slots=True)
class Listed:
    """A model of the data with its price of now."""

    provider: str
    model: str
    context_window: int | None
    price: Price


@dataclass(frozen=True, slots=True)
class Found:
    """The answer: for each model that was wanted its prices, none where nobody knows."""

    version: str
    """`genai-prices 0.2.3`."""
    prices: tuple[tuple[Dated, ...], ...] = ()
    listed: tuple[Listed, ...] = ()
    total: int = 0


def data_version() -> str:
    """Return which price data is installed, without loading it."""
    return f"{LIBRARY} {version(LIBRARY)}"


def answer(question: Question) -> Found:
    """Look a question up; loads the library."""
    from genai_prices.data import providers

    source, on = data_version(), date.fromisoformat(question.on)
    prices = tuple(_find(providers, one, on, source) for one in question.find)
    listed: list[Listed] = []
    total = 0
    if question.search is not None:
        words = question.search.lower().split()
        for provider, model in _matching(providers, words):
            price = price_on(model, on, source)
            if price is not None:
                total += 1
                if len(listed) < question.most:
                    window = model.context_window
                    listed.append(Listed(provider.id, model.id, window, price))
    return Found(source, prices, tuple(listed), total)


def price_on(model: ModelInfo, on: date, source: str) -> Price | None:
    """Return what a model costs on a day; None where that is more than tokens, or not known.

    Of prices that change within the day, the dearest counts.
    """
    candidates = [price for price in map(_tiered, _active(model, on)) if price is not None]
    if not candidates:
        return None
    bounds = sorted({bound for one in candidates for bound in one if bound})
    rates = {bound: _dearest([_rates_at(one, bound) for one in candidates]) for bound in bounds}
    base = _dearest([one[0] for one in candidates])
    tiers = tuple(Tier(bound, rates[bound]) for bound in bounds)
    return Price(base, tiers, _discount(model, on), source)


def _find(
    providers: Sequence[Provider], wanted: Wanted, on: date, source: str
) -> tuple[Dated, ...]:
    model = _look_up(providers, wanted)
    if model is None:
        return ()
    found: list[Dated] = []
    for day in (None, *_later(model, on)):
        price = price_on(model, day or on, source)
        if price is not None and (not found or found[-1].price != price):
            found.append(Dated(day.isoformat() if day else None, price))
    return tuple(found)


def _look_up(providers: Sequence[Provider], wanted: Wanted) -> ModelInfo | None:
    from genai_prices.data_snapshot import DataSnapshot

    snapshot = DataSnapshot(list(providers), from_auto_update=False)
    if wanted.price_of is not None:
        name, _, model = wanted.price_of.partition(":")
        places: tuple[tuple[str | None, str | None], ...] = ((name, None),)
    else:
        model = wanted.model
        places = ((None, wanted.base_url), (wanted.provider, None))
    for by_name, by_url in places:
        try:
            return snapshot.find_provider_model(model, None, by_name, by_url)[1]
        except LookupError:
            continue
    return None


def _matching(
    providers: Sequence[Provider], words: Sequence[str]
) -> Iterator[tuple[Provider, ModelInfo]]:
    for provider in providers:
        for model in provider.models:
            text = f"{provider.id}:{model.id} {model.name or ''}".lower()
            if all(word in text for word in words):
                yield provider, model


def _active(model: ModelInfo, on: date) -> Iterator[ModelPrice]:
    """Yield the prices that count at some time of a day."""
    from genai_prices.types import ModelPrice, StartDateConstraint, TimeOfDateConstraint

    if isinstance(model.prices, ModelPrice):
        yield model.prices
        return
    noon = datetime(on.year, on.month, on.day, 12, tzinfo=UTC)
    for one in reversed(model.prices):
        if isinstance(one.constraint, TimeOfDateConstraint):
            yield one.prices
        elif not isinstance(one.constraint, StartDateConstraint) or one.constraint.active(noon):
            yield one.prices
            return
    if model.prices:
        yield model.prices[0].prices


def _later(model: ModelInfo, on: date) -> list[date]:
    from genai_prices.types import ModelPrice, StartDateConstraint

    if isinstance(model.prices, ModelPrice):
        return []
    constraints = [one.constraint for one in model.prices]
    starts = {one.start_date for one in constraints if isinstance(one, StartDateConstraint)}
    return sorted(start for start in starts if start > on)


def _tiered(price: ModelPrice) -> dict[int, Rates] | None:
    """Return rates by the input above which they count, 0 for the base."""
    from genai_prices.types import TieredPrices

    values: dict[str, Any] = {kind: getattr(price, f"{kind}_mtok") for kind in _KINDS}
    if values["input"] is None or any(getattr(price, kind) for kind in _OTHERWISE):
        return None
    bounds = {0}
    for value in values.values():
        if isinstance(value, TieredPrices):
            bounds.update(tier.start for tier in value.tiers)

    def micros(kind: str, bound: int) -> int | None:
        value = values[kind]
        if isinstance(value, TieredPrices):
            reached = [tier.price for tier in value.tiers if tier.start <= bound and bound]
            value = reached[-1] if reached else value.base
        if value is None:
            return None
        return int((Decimal(value) * _MICROS).to_integral_value(rounding=ROUND_CEILING))

    return {
        bound: Rates(
            micros("input", bound) or 0,
            # of what generates nothing (embeddings), no price of output is known: there is none
            micros("output", bound) or 0,
            micros("cache_read", bound),
            micros("cache_write", bound),
            micros("cache_write_1h", bound),
        )
        for bound in sorted(bounds)
    }


def _rates_at(tiers: dict[int, Rates], bound: int) -> Rates:
    return tiers[max(one for one in tiers if one <= bound)]


def _dearest(rates: Sequence[Rates]) -> Rates:
    if len(rates) == 1:
        return rates[0]
    return Rates(
        max(one.input for one in rates),
        max(one.output for one in rates),
        max(one.read for one in rates),
        max(one.written for one in rates),
        max(one.written_long for one in rates),
    )


def _discount(model: ModelInfo, on: date) -> int:
    """Return how many percent less everything costs in a batch, at least."""
    noon = datetime(on.year, on.month, on.day, 12, tzinfo=UTC)
    standard = model.get_prices(noon)
    batch = model.get_prices(noon, {"processing": "batch"})
    before, after = _tiered(standard), _tiered(batch)
    if before is None or after is None or before.keys() != after.keys():
        return 0
    shares = []
    for bound, rates in before.items():
        for kind in ("input", "output", "read", "written", "written_long"):
            full, less = getattr(rates, kind), getattr(after[bound], kind)
            if full:
                shares.append((full - less) * _PERCENT // full)
    return max(0, min(shares, default=0))


def main() -> None:
    """Answer the one question on standard input."""
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    sys.stdout.buffer.write(msgspec.json.encode(answer(question)))


if __name__ == "__main__":
    main()
