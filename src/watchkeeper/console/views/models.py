"""Models: how providers do, what stands behind logical models, and why calls went where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from watchkeeper.console.blocks import Block, Fact, Line, Prose, Title
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, Token, span
from watchkeeper.console.views.aligned import aligned
from watchkeeper.console.words import (
    UPSTREAM_STATES,
    Said,
    age_text,
    count_text,
    money_text,
    plural,
    say,
)
from watchkeeper.wire.base import Shown
from watchkeeper.wire.models import ModelRow, ProviderModelRow, ProviderRow

MANY_ERRORS = 0.05
"""From this share of failed calls on, a provider's errors are coloured."""


class ModelLine(Shown):
    """A provider, or a logical model with the providers of its targets."""

    kind: Literal["provider", "model"]
    name: str
    provider: ProviderRow | None = None
    model: ModelRow | None = None
    behind: tuple[ProviderRow, ...] = ()


def lines(providers: Sequence[ProviderRow], models: Sequence[ModelRow]) -> tuple[ModelLine, ...]:
    """Put both in one list: providers first, those that are down before the others."""
    by_name = {row.name: row for row in providers}
    ranked = sorted(providers, key=lambda row: (row.state != "down", row.name))
    found = [ModelLine(kind="provider", name=row.name, provider=row) for row in ranked]
    for model in sorted(models, key=lambda row: row.name):
        names = dict.fromkeys(target.provider for target in model.targets)
        behind = tuple(by_name[name] for name in names if name in by_name)
        found.append(ModelLine(kind="model", name=model.name, model=model, behind=behind))
    return tuple(found)


def cells(row: ModelLine, moment: Moment) -> Mapping[str, Span]:
    """Return the cells of a line."""
    said = state_of(row)
    provider, model = row.provider, row.model
    blank = span("–", "quiet")
    held = {
        "state": said.span,
        "name": span(row.name, "strong"),
        "kind": span(row.kind, "quiet"),
        "p50": blank, "p95": blank, "first": blank, "cache": blank, "what": blank,
    }  # fmt: skip
    if provider is not None:
        held |= {
            "calls": span(
                f"{count_text(provider.calls)}/5m", "text" if provider.calls else "quiet"
            ),
            "errors": _share(provider.errors, provider.calls),
            "p50": _milliseconds(provider.latency_p50_ms),
            "p95": _milliseconds(provider.latency_p95_ms),
            "first": _milliseconds(provider.first_token_p50_ms),
            "spend": span(money_text(provider.spend_today_micros)),
            "what": span(provider.detail or _provider_words(provider), "quiet"),
        }
    if model is not None:
        held |= {
            "calls": span(
                f"{count_text(model.calls_today)}/d", "text" if model.calls_today else "quiet"
            ),
            "errors": _share(model.errors_today, model.calls_today),
            "spend": span(money_text(model.spend_today_micros)),
            "cache": _share(model.cache_hits_today, model.calls_today, bad=False)
            if model.cache
            else blank,
            "what": span(_model_words(model), "quiet"),
        }
    return held


def state_of(row: ModelLine) -> Said:
    """Say how it does; a model does as well as the best of its targets' providers."""
    if row.provider is not None:
        return say(UPSTREAM_STATES, row.provider.state)
    states = [provider.state for provider in row.behind]
    if not states:
        return Said("○", "composed", "quiet")
    if all(state == "down" for state in states):
        return say(UPSTREAM_STATES, "down")
    if "down" in states:
        return Said("!", "fallback", "warning")
    return say(UPSTREAM_STATES, "up" if "up" in states else "unknown")


def summary(rows: Iterable[ModelLine]) -> Sequence[Span]:
    """Count providers and models, what is down first."""
    held = list(rows)
    providers = [row for row in held if row.kind == "provider"]
    down = [row.name for row in providers if row.provider and row.provider.state == "down"]
    spent = sum(row.provider.spend_today_micros for row in providers if row.provider)
    words = (
        f"{plural(len(providers), 'provider')} · {plural(len(held) - len(providers), 'model')}"
        f" · {money_text(spent)} today"
    )
    spans = [span(words, "quiet")]
    if down:
        spans.append(span(f" · ■ down: {', '.join(down)}", "critical"))
    return spans


def blocks(row: ModelLine, moment: Moment) -> list[Block]:
    """Write a line in full."""
    said = state_of(row)
    held: list[Block] = [
        Line([span(row.name, "strong"), span(f"  {row.kind}  "), span(said.text, said.token)])
    ]
    if row.provider is not None:
        held += _provider_blocks(row.provider, moment)
    if row.model is not None:
        held += _model_blocks(row.model, row.behind)
    return held


def _provider_blocks(row: ProviderRow, moment: Moment) -> list[Block]:
    held: list[Block] = []
    if row.detail:
        held.append(Fact("because", row.detail, "critical" if row.state == "down" else "text"))
    if row.since is not None:
        held.append(Fact("since", age_text(row.since, moment.now)))
    held += [
        Fact("speaks", f"{row.protocol}, region {row.region}"),
        Fact("keeps data", row.retention),
        Title("Last five minutes"),
        Fact("calls", f"{row.calls:,}, {plural(row.in_flight, 'call')} under way"),
        Fact("failed", _share(row.errors, row.calls)),
        Fact("sent again", f"{row.retries:,}, {plural(row.fallbacks, 'call')} answered elsewhere"),
        Fact("latency", _pair(row.latency_p50_ms, row.latency_p95_ms)),
        Fact("first token", _pair(row.first_token_p50_ms, row.first_token_p95_ms)),
        Fact("today", money_text(row.spend_today_micros)),
        Title("Its models, dollars per million tokens"),
        *aligned([_price(one) for one in row.models]),
    ]
    return held


def _model_blocks(row: ModelRow, behind: Sequence[ProviderRow]) -> list[Block]:
    states = {provider.name: provider.state for provider in behind}
    held: list[Block] = [
        Fact("asked first", row.strategy),
        Fact("today", f"{plural(row.calls_today, 'call')}, {money_text(row.spend_today_micros)}"),
        Fact("failed", _share(row.errors_today, row.calls_today)),
        Fact(
            "tokens",
            f"{count_text(row.tokens_in_today)} in, {count_text(row.tokens_out_today)} out",
        ),
        Fact("cache", _cache_words(row)),
    ]
    if row.leads_to:
        held.append(Fact("leads to", ", ".join(row.leads_to)))
    if row.agents:
        held.append(Fact("agents", ", ".join(row.agents)))
    held += [
        Title("Served by, in this order"),
        *aligned(
            [
                (span(one.provider, "strong"), span(one.model), _state(states.get(one.provider)))
                for one in row.targets
            ]
        ),
        Title("Why calls went where they went, today"),
    ]
    routes = [
        (span(count_text(one.calls)), span(one.model, "strong"), span(one.cause), span(one.reason))
        for one in row.routes
    ]
    held += aligned(routes, right=(0,)) if routes else [Prose("no call of it today", "quiet")]
    return held


def _state(state: str | None) -> Span:
    return say(UPSTREAM_STATES, state).span if state else span("not declared", "warning")


def _price(row: ProviderModelRow) -> tuple[Span, ...]:
    if row.input_micros is None or row.output_micros is None:
        cost = span("price unknown: refused under strict budgets", "warning")
    else:
        tiers = f", {plural(row.tiers, 'tier')}" if row.tiers else ""
        cached = (
            f", cached {money_text(row.cache_read_micros)}"
            if row.cache_read_micros is not None
            else ""
        )
        cost = span(
            f"{money_text(row.input_micros)} in, {money_text(row.output_micros)} out"
            f"{cached}{tiers} ({row.price_source or 'document'})"
        )
    return span(row.name), span(f"{count_text(row.context_window)} window", "quiet"), cost


def _cache_words(row: ModelRow) -> str:
    if row.cache is None:
        return "none"
    return f"{row.cache}: {plural(row.cache_hits_today, 'answer')} kept from before"


def _provider_words(row: ProviderRow) -> str:
    return f"{row.protocol} · {row.region} · keeps data: {row.retention}"


def _model_words(row: ModelRow) -> str:
    served = " → ".join(f"{one.provider}/{one.model}" for one in row.targets)
    led = f"leads to {', '.join(row.leads_to)}" if row.leads_to else ""
    return " · ".join(part for part in (served, led) if part)


def _count(calls: int, per: str) -> Span:
    return span(f"{count_text(calls)}/{per}", "text" if calls else "quiet")


def _share(part: int, whole: int, *, bad: bool = True) -> Span:
    if not whole:
        return span("–", "quiet")
    share = part / whole
    shown = "0%" if not part else "<1%" if share < 0.01 else f"{share:.0%}"
    token: Token = "text" if part else "quiet"
    if bad and part:
        token = "critical" if share >= MANY_ERRORS else "warning"
    return span(shown, token)


def _milliseconds(value: int | None) -> Span:
    if value is None:
        return span("–", "quiet")
    return span(f"{value:,} ms" if value < 10_000 else f"{value / 1000:.1f} s")


def _pair(middle: int | None, high: int | None) -> str:
    if middle is None or high is None:
        return "no call yet"
    return f"half within {_milliseconds(middle).text}, 95 of 100 within {_milliseconds(high).text}"
