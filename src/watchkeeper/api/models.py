"""Providers, logical models and known prices."""

from __future__ import annotations

from time import perf_counter

from watchkeeper.api.table import Call, Operation
from watchkeeper.core.clock import utc_text
from watchkeeper.core.errors import NotFound
from watchkeeper.decide.models.rows import (
    Counts,
    count_calls,
    model_rows,
    provider_rows,
    today_of,
)
from watchkeeper.decide.spending.sums import Scope
from watchkeeper.models.known import Listed, Question
from watchkeeper.wire.models import KnownPrice, ModelRow, ProviderRow, TierShown
from watchkeeper.wire.pages import Page


async def list_providers(call: Call) -> Page[ProviderRow]:
    """List providers by name."""
    rooms = call.rooms
    head, counts = rooms.store.head, await _counts(call)
    rows = provider_rows(
        rooms.view.now,
        rooms.decider.statistics,
        counts,
        rooms.clock.now(),
        everything=call.who.permissions.teams("read") is None,
    )
    return Page[ProviderRow](rows=rows, total=len(rows), sequence=head)


async def list_models(call: Call) -> Page[ModelRow]:
    """List logical models by name."""
    head = call.rooms.store.head
    rows = await _rows(call)
    return Page[ModelRow](rows=rows, total=len(rows), sequence=head)


async def read_model(call: Call) -> ModelRow:
    """Show one logical model."""
    name = call.path("model")
    for row in await _rows(call):
        if row.name == name:
            return row
    raise NotFound(f"there is no model {name!r:.80}", remedy="see `watchkeeper models list`")


async def search_prices(call: Call) -> Page[KnownPrice]:
    """Search the price data, in a process of its own."""
    rooms = call.rooms
    question = Question(
        utc_text(rooms.clock.now())[:10],
        search=(call.text("filter") or "")[:200],
        most=call.limit(),
    )
    found = await rooms.applying.price_search.ask(question)
    rows = tuple(_known(one, found.version) for one in found.listed)
    return Page[KnownPrice](rows=rows, total=found.total, sequence=rooms.store.head)


async def _rows(call: Call) -> tuple[ModelRow, ...]:
    catalogue = call.rooms.view.now.seen_in(call.who.permissions.teams("read"))
    return model_rows(catalogue, await _counts(call))


async def _counts(call: Call) -> Counts:
    """Return what was called today in the teams that the caller sees."""
    rooms, teams = call.rooms, call.who.permissions.teams("read")
    began = perf_counter()
    kept = rooms.model_counts.find(teams, began)
    if kept is not None:
        return kept
    now = rooms.clock.now()
    scope = Scope(today_of(now), now + 1, teams=teams, agents=call.agents_seen())
    counts = await rooms.store.scan(lambda tx: count_calls(tx, scope))
    rooms.model_counts.keep(teams, counts, began, perf_counter())
    return counts


def _known(one: Listed, version: str) -> KnownPrice:
    rates = one.price.rates
    return KnownPrice(
        provider=one.provider,
        model=one.model,
        input_micros=rates.input,
        output_micros=rates.output,
        cache_read_micros=rates.cache_read,
        cache_write_micros=rates.cache_write,
        tiers=tuple(
            TierShown(
                above_input_tokens=tier.above_input_tokens,
                input_micros=tier.rates.input,
                output_micros=tier.rates.output,
                cache_read_micros=tier.rates.cache_read,
                cache_write_micros=tier.rates.cache_write,
            )
            for tier in one.price.tiers
        ),
        context_window=one.context_window,
        version=version,
    )


OPERATIONS = (
    Operation(
        "GET",
        "/v1/providers",
        "read",
        list_providers,
        "List providers: how they do, and what their models cost.",
        answers=Page[ProviderRow],
        tags=("models",),
    ),
    Operation(
        "GET",
        "/v1/models",
        "read",
        list_models,
        "List logical models with what was called of them today, and why calls went where.",
        answers=Page[ModelRow],
        tags=("models",),
    ),
    Operation(
        "GET",
        "/v1/models/{model}",
        "read",
        read_model,
        "Show a logical model.",
        answers=ModelRow,
        tags=("models",),
    ),
    Operation(
        "GET",
        "/v1/prices",
        "read",
        search_prices,
        "Search the price data that comes with the plane.",
        answers=Page[KnownPrice],
        query=("filter", "limit"),
        tags=("models",),
    ),
)
