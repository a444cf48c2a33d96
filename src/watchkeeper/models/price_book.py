"""The prices that are kept: looked up once, then read from the plane's own table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

import msgspec
from sqlalchemy import select

from watchkeeper.models.prices import Price
from watchkeeper.models.tables import model_prices
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction

Model = tuple[str, str]
"""A provider and its model."""
_ALL = Statement(
    select(model_prices).order_by(
        model_prices.c.provider, model_prices.c.model, model_prices.c.version
    )
)
_ADD = Statement(model_prices.insert())
_price = msgspec.json.Decoder(Price)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one model's price; times in microseconds."""

    price: Price
    source: str
    reference: str
    version: int
    later: tuple[tuple[int, Price], ...]
    """Prices that count from a time to come."""


@dataclass(frozen=True, slots=True)
class LookedUp:
    """What the price data said of one model."""

    model: Model
    reference: str
    prices: tuple[tuple[int | None, Price], ...]
    """From when each counts (None: now), in order; none where nobody knows."""


def read_book(tx: Transaction) -> dict[Model, Kept]:
    """Return the price of each model that has one now."""
    found: dict[Model, Kept] = {}
    for model, rows in groupby(_ALL.all(tx), lambda row: (row.provider, row.model)):
        kept = _kept(list(rows), tx.now)
        if kept is not None:
            found[model] = kept
    return found


def keep(tx: Transaction, found: Iterable[LookedUp], source: str, *, actor: str) -> bool:
    """Keep what was looked up where it says something new; tell whether it did.

    What the data has lost keeps the price it had.
    """
    book = read_book(tx)
    changed = False
    for one in found:
        if not one.prices:
            continue
        before = book.get(one.model)
        prices = tuple((since, _bare(price)) for since, price in one.prices)
        if before is not None and _says(before) == (one.reference, prices):
            continue
        changed = True
        version = _next_version(tx, one.model)
        for number, (since, price) in enumerate(prices):
            _ADD.run(
                tx,
                provider=one.model[0],
                model=one.model[1],
                version=version + number,
                source=source,
                reference=one.reference,
                valid_from=tx.now if since is None else since,
                price=msgspec.json.encode(price).decode(),
                noted_at=tx.now,
            )
        rates = prices[0][1].rates
        tx.record(
            "price.kept",
            actor=actor,
            subject=f"provider/{one.model[0]}",
            body={
                "model": one.model[1],
                "version": version,
                "source": source,
                "reference": one.reference,
                "input_micros": rates.input,
                "output_micros": rates.output,
                "replaces": before.version if before else None,
            },
        )
    if not changed:
        tx.silent("the price data says what is kept")
    return changed


def as_kept(
    book: Mapping[Model, Kept], found: Iterable[LookedUp], source: str
) -> dict[Model, Kept]:
    """Return the book as it would be once what was looked up is kept."""
    after = dict(book)
    for one in found:
        if one.prices:
            later = tuple((since, price) for since, price in one.prices if since is not None)
            after[one.model] = Kept(one.prices[0][1], source, one.reference, 0, later)
    return after


def next_change(book: Mapping[Model, Kept]) -> int | None:
    """Return when the next price changes by itself; None where none does."""
    return min((since for kept in book.values() for since, _ in kept.later), default=None)


def _kept(rows: list[Row], now: int) -> Kept | None:
    current = max((row for row in rows if row.valid_from <= now), key=_version, default=None)
    if current is None:
        return None
    later = [row for row in rows if row.version > current.version]
    return Kept(
        _named(current),
        current.source,
        current.reference,
        current.version,
        tuple((row.valid_from, _named(row)) for row in later),
    )


def _version(row: Row) -> int:
    return int(row.version)


def _named(row: Row) -> Price:
    return replace(_price.decode(row.price), source=row.source, version=str(row.version))


def _bare(price: Price) -> Price:
    return replace(price, source="", version="")


def _says(kept: Kept) -> tuple[str, tuple[tuple[int | None, Price], ...]]:
    later = ((since, _bare(price)) for since, price in kept.later)
    return kept.reference, ((None, _bare(kept.price)), *later)


def _next_version(tx: Transaction, model: Model) -> int:
    versions = [row.version for row in _ALL.all(tx) if (row.provider, row.model) == model]
    return max(versions, default=0) + 1
