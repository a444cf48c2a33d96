"""What models cost whose documents do not say: looked up when applied, kept, and warned of."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from watchkeeper.core.clock import RehearsalClock, utc_text
from watchkeeper.core.errors import Unavailable
from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
from watchkeeper.decide.models.price_search import PriceSearch
from watchkeeper.decide.policies.applying import Applying, Planned
from watchkeeper.ledger.reading import read_events
from watchkeeper.models.known import Dated, Found, Question, answer
from watchkeeper.models.prices import Price, Rates
from watchkeeper.store.store import Store

DAY = 86_400


def documents(**model: Any) -> str:
    """A provider with one model, and a logical model over it."""
    provider = {
        "name": "openai",
        "base_url": "https://api.openai.com/v1",
        "models": [{"name": "gpt-5", **model}],
    }
    logical = {"name": "large", "provider": "openai", "provider_model": "gpt-5"}
    return "\n---\n".join(json.dumps(one) for one in ({"provider": provider}, {"model": logical}))


class Data:
    """The library's data in a thread, or what a test says in its place."""

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.prices: tuple[Dated, ...] | None = None
        self.broken = False

    async def ask(self, question: Question) -> Found:
        self.asked.append(question)
        if self.broken:
            raise Unavailable("the price data cannot be read: gone", remedy="give prices")
        if self.prices is None:
            return await asyncio.to_thread(answer, question)
        return Found("data 2", tuple(self.prices for _ in question.find))


class Ground:
    """Applying over a store, with the price data in sight."""

    def __init__(self, kept: Store, data: Data) -> None:
        self.store = kept
        self.view = CatalogueView(build_catalogue({}))
        self.applying = Applying(kept, self.view, PriceSearch(data.ask))

    async def apply(self, text: str) -> Planned:
        return await self.applying.apply([("m.yaml", text)], prune=False, actor="person/ada")

    def known(self) -> Price | None:
        target = self.view.now.models["large"].primary
        assert target is not None
        return target.price

    @property
    def price(self) -> Price:
        price = self.known()
        assert price is not None
        return price

    async def kept(self) -> list[dict[str, Any]]:
        events = await self.store.read(lambda tx: read_events(tx, after=0, limit=500))
        return [dict(one.body) for one in events if one.type == "price.kept"]


def rated(input_micros: int) -> Price:
    return Price(Rates(input_micros, 10_000_000))


async def test_a_price_is_looked_up_once_and_read_at_the_next_start(store: Store) -> None:
    data = Data()
    ground = Ground(store, data)
    applied = await ground.apply(documents())
    assert not any("nobody knows" in gap for gap in applied.gaps)
    assert ground.price.rates == Rates(1_250_000, 10_000_000, 125_000)
    assert (ground.price.source, ground.price.version) == ("genai-prices 0.2.3", "1")
    await ground.apply(documents())
    await ground.applying.plan([("m.yaml", documents())], prune=False)
    assert len(data.asked) == 1
    again = Ground(store, data)
    await again.applying.load()
    assert again.price == ground.price
    await again.apply(documents())
    await again.applying.reprice()
    assert len(data.asked) == 1
    (kept,) = await ground.kept()
    assert (kept["model"], kept["input_micros"]) == ("gpt-5", 1_250_000)


async def test_a_price_of_the_document_wins(store: Store) -> None:
    data = Data()
    ground = Ground(store, data)
    await ground.apply(documents())
    await ground.apply(documents(input_usd_per_million=9, output_usd_per_million=9))
    assert (ground.price.source, ground.price.rates.input) == ("document", 9_000_000)
    assert len(data.asked) == 1


async def test_what_nobody_knows_is_warned_of(store: Store) -> None:
    data = Data()
    ground = Ground(store, data)
    text = documents(price_of="openai:no-such-model")
    planned = await ground.applying.plan([("m.yaml", text)], prune=False)
    applied = await ground.apply(text)
    for one in (planned, applied):
        assert any("nobody knows what 'gpt-5' of provider 'openai' costs" in g for g in one.gaps)
    assert ground.known() is None
    await ground.apply(documents())
    assert ground.known() is not None
    await ground.apply(text)
    assert ground.known() is None, "a price that was found under another name is not its price"


async def test_a_changed_price_is_a_new_version(store: Store) -> None:
    data = Data()
    ground = Ground(store, data)
    data.prices = (Dated(None, rated(1_000_000)),)
    await ground.apply(documents())
    held = ground.price
    data.prices = (Dated(None, rated(2_000_000)),)
    newer = Ground(store, data)
    newer.applying.price_search.source = "data 2"
    await newer.applying.load()
    assert newer.price == held
    await newer.applying.reprice()
    assert (held.rates.input, newer.price.rates.input) == (1_000_000, 2_000_000)
    assert (held.version, newer.price.version) == ("1", "2")
    assert [one["replaces"] for one in await ground.kept()] == [None, 1]
    await newer.applying.reprice()
    same = Ground(store, data)
    same.applying.price_search.source = "data 3"
    await same.applying.load()
    await same.applying.reprice()
    assert len(await ground.kept()) == 2, "the same price is no new version"


async def test_a_price_to_come_counts_from_its_day(
    store: Store,
    clock: RehearsalClock,
) -> None:
    data = Data()
    ground = Ground(store, data)
    clock.advance(DAY - clock.now() // 1_000_000 % DAY)
    tomorrow = (clock.now() // 1_000_000 + DAY) * 1_000_000
    data.prices = (
        Dated(None, rated(1_000_000)),
        Dated(utc_text(tomorrow)[:10], rated(4_000_000)),
    )
    await ground.apply(documents())
    assert ground.price.rates.input == 1_000_000
    await ground.applying.reprice()
    clock.advance(DAY)
    assert ground.price.rates.input == 1_000_000
    await ground.applying.reprice()
    assert ground.price.rates.input == 4_000_000
    assert len(await ground.kept()) == 1


async def test_data_that_cannot_be_read_stops_no_apply(store: Store) -> None:
    data = Data()
    data.broken = True
    ground = Ground(store, data)
    applied = await ground.apply(documents())
    assert any("cannot be read: gone; give prices" in gap for gap in applied.gaps)
    assert ground.known() is None
    data.broken = False
    await ground.applying.reprice()
    assert ground.known() is not None
