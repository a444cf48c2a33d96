"""Prices as the library has them: never less, and the same but for rounding."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from genai_prices import Usage as LibraryUsage
from genai_prices.data import providers
from genai_prices.types import ModelInfo, Provider, TimeOfDateConstraint
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.core.errors import Unavailable
from watchkeeper.models import price_data
from watchkeeper.models.known import Found, Question, Wanted, answer, data_version, price_on
from watchkeeper.models.prices import Price
from watchkeeper.wire.decisions import Usage

TODAY = date(2026, 11, 21)
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MICROS = 1_000_000


def _changes_in_a_day(model: ModelInfo) -> bool:
    return isinstance(model.prices, list) and any(
        isinstance(one.constraint, TimeOfDateConstraint) for one in model.prices
    )


MODELS: list[tuple[Provider, ModelInfo, Price]] = [
    (provider, model, price)
    for provider in providers
    for model in provider.models
    if (price := price_on(model, TODAY, "data")) is not None
]
TIERED = [one for one in MODELS if one[2].tiers]
tokens = st.integers(0, 50_000) | st.integers(190_000, 300_000) | st.integers(0, 2_000_000)


def test_most_models_have_a_price() -> None:
    assert len(MODELS) > 2000
    assert len(TIERED) > 100
    rated = [price.rates.input or price.rates.output for _, _, price in MODELS]
    assert sum(map(bool, rated)) > 2000


@settings(max_examples=400)
@given(st.sampled_from(MODELS) | st.sampled_from(TIERED), st.data())
def test_a_call_costs_what_the_library_says(
    chosen: tuple[Provider, ModelInfo, Price], data: st.DataObject
) -> None:
    provider, model, price = chosen
    bounds = [
        n for one in price.tiers for n in (one.above_input_tokens, one.above_input_tokens + 1)
    ]
    used_in = data.draw(tokens | st.sampled_from(bounds) if bounds else tokens)
    read = data.draw(st.integers(0, used_in))
    written = data.draw(st.integers(0, used_in - read))
    long = data.draw(st.integers(0, written))
    used_out = data.draw(st.integers(0, 200_000)) if price.rates.output else 0
    ours = price.cost(
        Usage(
            input_tokens=used_in,
            output_tokens=used_out,
            cache_read_tokens=read,
            cache_write_tokens=written,
            cache_write_long_tokens=long,
        )
    )
    said: dict[str, Any] = {"input_tokens": used_in, "output_tokens": used_out}
    said |= {"cache_read_tokens": read, "cache_write_tokens": written}
    said["cache_write_1h_tokens"] = long
    theirs = model.calc_price(
        LibraryUsage(**said), provider, genai_request_timestamp=NOON
    ).total_price
    exact = Decimal(ours) - theirs * MICROS
    assert exact >= 0, "never less than it costs"
    if not _changes_in_a_day(model):
        # a price that is finer than a micro-dollar per million tokens is rounded up too
        assert exact < 1 + Decimal(used_in + used_out) / MICROS


def test_a_price_finer_than_a_micro_dollar_per_million_is_rounded_up() -> None:
    finer = 0
    for _, model, price in MODELS:
        exact = model.get_prices(NOON).input_mtok
        if isinstance(exact, Decimal) and not _changes_in_a_day(model):
            assert 0 <= price.rates.input - exact * MICROS < 1
            finer += price.rates.input != exact * MICROS
    assert finer


def test_what_is_charged_besides_tokens_has_no_price_here() -> None:
    charged = [
        model
        for provider in providers
        for model in provider.models
        if not isinstance(model.prices, list) and getattr(model.prices, "requests_kcount", None)
    ]
    assert charged
    assert all(price_on(model, TODAY, "data") is None for model in charged)


def ask(*wanted: Wanted, **more: Any) -> Found:
    return answer(Question("2026-11-21", wanted, **more))


def test_a_model_is_found_by_the_address_of_its_provider_or_by_its_name() -> None:
    by_url = Wanted("house", "https://api.openai.com/v1", "gpt-5")
    by_name = Wanted("openai", "https://proxy.example/v1", "gpt-5")
    named = Wanted("house", "https://proxy.example/v1", "our-five", "openai:gpt-5")
    unknown = Wanted("house", "https://proxy.example/v1", "gpt-5")
    nowhere = Wanted("house", "https://api.openai.com/v1", "gpt-5", "openai:nothing-like-it")
    found = ask(by_url, by_name, named, unknown, nowhere)
    assert found.version == data_version()
    assert found.prices[0] == found.prices[1] == found.prices[2]
    assert found.prices[0][0].price.rates.input == 1_250_000
    assert found.prices[0][0].since is None
    assert found.prices[3] == found.prices[4] == ()


def test_prices_that_change_later_are_known_before() -> None:
    changing = [
        (provider, model)
        for provider in providers
        for model in provider.models
        if isinstance(model.prices, list)
    ]
    wanted = [
        Wanted(provider.id, "http://nowhere.test", "", f"{provider.id}:{model.id}")
        for provider, model in changing
    ]
    found = answer(Question("2020-01-01", tuple(wanted)))
    several = [one for one in found.prices if len(one) > 1]
    assert len(several) > 100
    for prices in several:
        days = [one.since or "" for one in prices]
        assert days == sorted(days)
        assert all(a.price != b.price for a, b in pairwise(prices))


def test_a_search_lists_what_has_all_its_words() -> None:
    found = ask(search="anthropic SONNET", most=3)
    assert len(found.listed) == 3
    assert found.total > 3
    assert all("anthropic" in f"{o.provider}:{o.model}" for o in found.listed)
    assert ask(search="no such model anywhere").total == 0


async def test_a_process_of_its_own_answers_the_same() -> None:
    wanted = Wanted("anthropic", "https://api.anthropic.com", "claude-sonnet-4-5")
    question = Question("2026-11-21", (wanted,), "opus", 5)
    assert await price_data.ask(question) == answer(question)


async def test_a_process_that_fails_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(Unavailable) as caught:
        await price_data.ask(Question("2026-11-21"))
    assert "provider's document" in (caught.value.remedy or "")
