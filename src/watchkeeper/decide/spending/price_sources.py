"""Where the prices are from that the calls of a time were charged with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import func, select

from watchkeeper.core.clock import utc_text
from watchkeeper.decide.spending.sums import Scope
from watchkeeper.decide.tables import decisions
from watchkeeper.models.tables import model_prices
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction

MOST_SHOWN = 40
_DOCUMENT = "the provider's document"


def price_sources(tx: Transaction, scope: Scope) -> tuple[str, ...]:
    """Return a line for each provider's model that was charged, with its prices' versions."""
    charged = (
        select(decisions.c.provider, decisions.c.provider_model, func.count())
        .where(
            *scope.conditions(),
            decisions.c.provider.is_not(None),
            decisions.c.provider_model.is_not(None),
        )
        .group_by(decisions.c.provider, decisions.c.provider_model)
        .order_by(func.count().desc(), decisions.c.provider, decisions.c.provider_model)
        .limit(MOST_SHOWN + 1)
    )
    used = [(row[0], row[1]) for row in tx.connection.execute(charged)]
    known: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    in_time = select(model_prices).where(model_prices.c.valid_from < scope.until)
    for row in tx.connection.execute(in_time.order_by(model_prices.c.version)):
        known[row.provider, row.model].append(row)
    found = [
        f"{provider}/{model}: {_said(known[provider, model], scope.since)}"
        for provider, model in sorted(used[:MOST_SHOWN])
    ]
    return (*found, "and others") if len(used) > MOST_SHOWN else tuple(found)


def _said(versions: Iterable[Row], since: int) -> str:
    """Say which versions were in force; what the data never had is the document's own."""
    in_force: list[Row] = []
    for row in versions:
        if row.valid_from <= since:
            in_force.clear()
        in_force.append(row)
    return (
        ", then ".join(
            f"version {row.version} of {utc_text(row.noted_at)[:10]} ({row.source})"
            for row in in_force
        )
        or _DOCUMENT
    )
