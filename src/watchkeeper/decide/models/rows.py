"""Providers and logical models with what was called of them, for people to look at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace

from sqlalchemy import case, func, select

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.durations import duration_text
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.models.pricing import GovernedModel, price_of
from watchkeeper.decide.spending.sums import Scope
from watchkeeper.decide.tables import answering, decisions, has_failed, is_model
from watchkeeper.models.prices import Price
from watchkeeper.models.statistics import MINUTES, Figures, Statistics
from watchkeeper.registry.providers import ProviderModel
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.models import (
    ModelRow,
    ProviderModelRow,
    ProviderRow,
    RouteCount,
    TargetShown,
)

DAY_US = 86_400 * MICROSECONDS
_LATELY_US = MINUTES * 60 * MICROSECONDS
_MOST_GROUPS = 5000
_MOST_READ = 500_000
"""Decisions; a hundred thousand take a third of a second."""
_MOST_ROUTES = 20
_MOST_READERS = 100
_KEPT_TIMES = 20
_d = decisions.c


@dataclass(slots=True)
class Called:
    """What was called of one thing today."""

    calls: int = 0
    errors: int = 0
    spend: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cached: int = 0
    lately: int = 0
    """Calls of the last five minutes."""
    lately_failed: int = 0
    lately_again: int = 0

    def add(self, row: Row) -> None:
        """Add a group."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + int(getattr(row, one.name)))


@dataclass(frozen=True, slots=True)
class Counts:
    """What was called today, by provider and by the logical model that was named."""

    by_provider: Mapping[str, Called] = field(default_factory=dict)
    by_model: Mapping[str, Called] = field(default_factory=dict)
    routes: Mapping[str, tuple[RouteCount, ...]] = field(default_factory=dict)
    """The most frequent ones of each model."""
    since: int | None = None
    """From when on was counted, where that is not all of the time: there was too much."""


class CountsKept:
    """What was counted last, for each reader: long counts are not made again at once."""

    def __init__(self) -> None:
        self._kept: dict[frozenset[str] | None, tuple[float, Counts]] = {}

    def find(self, teams: frozenset[str] | None, at: float) -> Counts | None:
        """Return what is fresh enough at a time, in seconds of a steady clock."""
        kept = self._kept.get(teams)
        return kept[1] if kept is not None and at < kept[0] else None

    def keep(self, teams: frozenset[str] | None, counts: Counts, began: float, at: float) -> None:
        """Keep what was counted from `began` to `at`, for some times as long as that took."""
        if len(self._kept) >= _MOST_READERS:
            self._kept.clear()
        self._kept[teams] = (at + _KEPT_TIMES * (at - began), counts)


def today_of(now: int) -> int:
    """Return when the day began, in UTC."""
    return now - now % DAY_US


def count_calls(tx: Transaction, scope: Scope) -> Counts:
    """Count the model calls in scope; reads each of them, so for `store.scan`.

    Of very many decisions only the newest are read.
    """
    newest = (
        select(_d.at)
        .where(*scope.conditions()[:2])
        .order_by(_d.decision.desc())
        .limit(1)
        .offset(_MOST_READ)
    )
    since = tx.connection.execute(newest).scalar_one_or_none()
    if since is not None:
        scope = replace(scope, since=int(since) + 1)
    lately = _d.at >= tx.now - _LATELY_US
    again = func.coalesce(_d.retries, 0)
    query = (
        select(
            _d.name,
            answering.label("answering"),
            _d.provider,
            _d.route_cause,
            func.max(_d.route_reason).label("reason"),
            func.count().label("calls"),
            func.sum(case((has_failed, 1), else_=0)).label("errors"),
            func.sum(_d.cost_micros).label("spend"),
            func.sum(_d.input_tokens).label("tokens_in"),
            func.sum(_d.output_tokens).label("tokens_out"),
            func.sum(func.coalesce(_d.cached, 0)).label("cached"),
            func.sum(case((lately, 1), else_=0)).label("lately"),
            func.sum(case((lately & has_failed, 1), else_=0)).label("lately_failed"),
            func.sum(case((lately, again), else_=0)).label("lately_again"),
        )
        .where(is_model, *scope.conditions())
        .group_by(_d.name, answering, _d.provider, _d.route_cause)
        .order_by(func.count().desc())
        .limit(_MOST_GROUPS)
    )
    by_provider: dict[str, Called] = defaultdict(Called)
    by_model: dict[str, Called] = defaultdict(Called)
    routes: dict[str, list[Row]] = defaultdict(list)
    for row in tx.connection.execute(query):
        by_model[row.name].add(row)
        if row.provider is not None:
            by_provider[row.provider].add(row)
        if row.route_cause is not None:
            routes[row.name].append(row)
    shown = {name: _routes(rows) for name, rows in routes.items()}
    return Counts(by_provider, by_model, shown, None if since is None else int(since) + 1)


def _routes(rows: Iterable[Row]) -> tuple[RouteCount, ...]:
    """Join what differs only by provider; of the reasons one stands for all."""
    calls: dict[tuple[str, str], int] = defaultdict(int)
    reasons: dict[tuple[str, str], str] = {}
    for row in rows:
        key = (row.route_cause, row.answering)
        calls[key] += int(row.calls)
        reasons.setdefault(key, row.reason or "")
    ranked = sorted(calls, key=lambda key: (-calls[key], key))[:_MOST_ROUTES]
    return tuple(
        RouteCount.model_validate(
            {"cause": key[0], "model": key[1], "reason": reasons[key], "calls": calls[key]}
        )
        for key in ranked
    )


def provider_rows(
    catalogue: Catalogue,
    statistics: Statistics,
    counts: Counts,
    now: int,
    *,
    everything: bool,
) -> tuple[ProviderRow, ...]:
    """Return every provider by name.

    `everything`: the reader sees every team, so live figures of all calls; the others see what
    their teams called.
    """
    rows = []
    for name, provider in sorted(catalogue.providers.items()):
        figures = statistics.figures(name, None, now)
        called = counts.by_provider.get(name, Called())
        health = statistics.health(name)
        rows.append(
            ProviderRow(
                name=name,
                protocol=provider.protocol,
                region=provider.region,
                retention=provider.terms.retention,
                state=health.state,
                detail=health.detail,
                since=health.since,
                calls=figures.calls if everything else called.lately,
                errors=figures.errors if everything else called.lately_failed,
                retries=figures.retries if everything else called.lately_again,
                fallbacks=figures.fallbacks if everything else 0,
                latency_p50_ms=figures.latency_p50,
                latency_p95_ms=figures.latency_p95,
                first_token_p50_ms=figures.first_token_p50,
                first_token_p95_ms=figures.first_token_p95,
                in_flight=figures.in_flight if everything else 0,
                spend_today_micros=called.spend,
                models=tuple(
                    _provider_model(
                        one,
                        price_of(provider, one, catalogue.known_prices),
                        statistics.figures(name, one.name, now),
                    )
                    for one in provider.models
                ),
            )
        )
    return tuple(rows)


def _provider_model(
    model: ProviderModel, price: Price | None, figures: Figures
) -> ProviderModelRow:
    return ProviderModelRow(
        name=model.name,
        context_window=model.context_window,
        input_micros=price.rates.input if price else None,
        output_micros=price.rates.output if price else None,
        cache_read_micros=price.rates.cache_read if price else None,
        cache_write_micros=price.rates.cache_write if price else None,
        tiers=len(price.tiers) if price else 0,
        price_source=price.source if price else "",
        latency_p50_ms=figures.latency_p50,
        latency_p95_ms=figures.latency_p95,
    )


def model_rows(catalogue: Catalogue, counts: Counts) -> tuple[ModelRow, ...]:
    """Return every logical model by name; `catalogue` has the agents that the reader sees."""
    named: dict[str, list[str]] = defaultdict(list)
    for name, agent in sorted(catalogue.agents.items()):
        routing = agent.contract.model_routing
        for model in routing.models if routing else ():
            named[model].append(name)
    return tuple(
        _model_row(name, model, counts, named.get(name, []))
        for name, model in sorted(catalogue.models.items())
    )


def _model_row(name: str, model: GovernedModel, counts: Counts, agents: list[str]) -> ModelRow:
    document, called = model.document, counts.by_model.get(name, Called())
    cache = document.cache
    lasting = duration_text(cache.ttl_seconds * MICROSECONDS) if cache else ""
    return ModelRow(
        name=name,
        strategy=document.strategy,
        targets=tuple(
            TargetShown(provider=one.provider.name, model=one.model.name) for one in model.targets
        ),
        leads_to=document.leads_to,
        calls_today=called.calls,
        errors_today=called.errors,
        spend_today_micros=called.spend,
        tokens_in_today=called.tokens_in,
        tokens_out_today=called.tokens_out,
        cache_hits_today=called.cached,
        cache=f"{cache.scope}, {lasting}" if cache else None,
        routes=counts.routes.get(name, ()),
        agents=tuple(agents),
        counted_since=counts.since,
    )
