"""`models` and `providers`: what stands behind logical models, what it costs and how it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from watchkeeper.cli.group import NamedGroup
from watchkeeper.cli.output import print_facts, print_json, print_table, say
from watchkeeper.cli.session import LIMIT, Session, speaks
from watchkeeper.cli.words import at
from watchkeeper.core.money import dollars

if TYPE_CHECKING:
    from watchkeeper.wire.models import ModelRow, ProviderRow

_HUNDRED = 100


@click.command()
@speaks()
def providers(session: Session) -> None:
    """List model providers: health, latency, errors of the last five minutes, spend of today."""
    page = session.call(lambda plane: plane.providers())
    if session.json:
        print_json(page)
        return
    if not page.rows:
        say("No providers. Apply a `provider` document: watchkeeper help models")
        return
    print_table(
        ("PROVIDER", "STATE", "CALLS/5M", "ERRORS", "RETRIES", "P50", "P95", "FIRST P95", "TODAY"),
        [
            (
                row.name,
                row.state,
                row.calls,
                _share(row.errors, row.calls + row.retries),
                row.retries,
                _time(row.latency_p50_ms),
                _time(row.latency_p95_ms),
                _time(row.first_token_p95_ms),
                dollars(row.spend_today_micros),
            )
            for row in page.rows
        ],
    )
    for row in page.rows:
        _say_prices(row)


def _say_prices(row: ProviderRow) -> None:
    say()
    where = f"{row.protocol} protocol, region {row.region}, retention {row.retention}"
    say(f"{row.name}: {where}" + (f"; {row.detail}" if row.detail else ""))
    for one in row.models:
        if one.input_micros is None or one.output_micros is None:
            price = "price unknown: refused under budgets in dollars"
        else:
            price = f"{dollars(one.input_micros)} in, {dollars(one.output_micros)} out per million"
            price += ", more for long input" if one.tiers else ""
            price += f" ({one.price_source})"
        say(f"  {one.name}: {price}; window {one.context_window:,}")


@click.group(cls=NamedGroup)
def models() -> None:
    """List and show logical models; search known prices."""


@models.command("list")
@speaks()
def list_(session: Session) -> None:
    """List logical models with what was called of them today."""
    page = session.call(lambda plane: plane.models())
    if session.json:
        print_json(page)
        return
    if not page.rows:
        say("No models. Apply `provider` and `model` documents: watchkeeper help models")
        return
    print_table(
        ("MODEL", "TARGETS", "CALLS", "ERRORS", "TOKENS IN", "OUT", "KEPT", "TODAY"),
        [
            (
                row.name,
                _targets(row),
                row.calls_today,
                _share(row.errors_today, row.calls_today),
                f"{row.tokens_in_today:,}",
                f"{row.tokens_out_today:,}",
                _share(row.cache_hits_today, row.calls_today),
                dollars(row.spend_today_micros),
            )
            for row in page.rows
        ],
    )


@models.command()
@click.argument("name", metavar="MODEL")
@speaks()
def show(session: Session, name: str) -> None:
    """Show a logical model, and why calls of today went where."""
    row = session.call(lambda plane: plane.model(name))
    if session.json:
        print_json(row)
        return
    called = f"{row.calls_today} calls, {row.errors_today} failed, {row.cache_hits_today} kept"
    print_facts(
        [
            ("model", row.name),
            ("targets", "\n".join(f"{one.provider}/{one.model}" for one in row.targets) or "none"),
            ("strategy", row.strategy),
            ("leads to", ", ".join(row.leads_to) or None),
            ("kept answers", row.cache),
            ("agents", ", ".join(row.agents) or "none"),
            ("today", f"{called}, {dollars(row.spend_today_micros)}"),
            ("counted from", at(row.counted_since) if row.counted_since else None),
            ("tokens", f"{row.tokens_in_today:,} in, {row.tokens_out_today:,} out"),
        ]
    )
    if row.routes:
        say()
        print_table(
            ("CALLS", "CAUSE", "ANSWERED BY", "REASON"),
            [(one.calls, one.cause, one.model, one.reason) for one in row.routes],
        )


@models.command()
@click.argument("text", nargs=-1)
@LIMIT
@speaks()
def prices(session: Session, text: tuple[str, ...], limit: int) -> None:
    """Search known prices for all words of TEXT.

    They come with the plane; nothing is fetched.

    A provider's model without a price of its own has the one that is found for its provider's
    address or name; `price_of: PROVIDER:MODEL` in its document names another.
    """
    words = " ".join(text)
    page = session.call(lambda plane: plane.known_prices(filter=words, limit=limit))
    if session.json:
        print_json(page)
        return
    if not page.rows:
        say(f"No price is known of {words!r}.")
        return
    print_table(
        ("PRICE_OF", "IN", "OUT", "CACHE READ", "WRITE", "LONG INPUT"),
        [
            (
                f"{row.provider}:{row.model}",
                dollars(row.input_micros),
                dollars(row.output_micros),
                _price(row.cache_read_micros),
                _price(row.cache_write_micros),
                ", ".join(
                    f"from {tier.above_input_tokens:,}: {dollars(tier.input_micros)} / "
                    f"{dollars(tier.output_micros)}"
                    for tier in row.tiers
                )
                or "–",
            )
            for row in page.rows
        ],
    )
    say(f"Dollars per million tokens, as {page.rows[0].version} has them.", err=True)
    if page.total is not None and page.total > len(page.rows):
        say(f"{page.total} match; more words find fewer, --limit shows more", err=True)


def _targets(row: ModelRow) -> str:
    found = [f"{one.provider}/{one.model}" for one in row.targets]
    return (found[0] if found else "an ensemble") + (f" +{len(found) - 1}" if found[1:] else "")


def _share(some: int, whole: int) -> str:
    """Write a count with its share, rounded as the console does."""
    if not some or not whole:
        return str(some)
    share = some * _HUNDRED / whole
    return f"{some} ({'<1' if share < 1 else round(share)} %)"


def _time(ms: int | None) -> str:
    return "–" if ms is None else f"{ms:,} ms"


def _price(micros: int | None) -> str:
    return "–" if micros is None else dollars(micros)
