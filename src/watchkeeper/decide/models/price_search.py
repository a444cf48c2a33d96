"""Finding out what models cost whose documents do not say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.decide.models.pricing import GovernedModel, KnownPrices
from watchkeeper.models import price_data
from watchkeeper.models.known import Found, Question, Wanted, data_version
from watchkeeper.models.price_book import Kept, LookedUp, Model
from watchkeeper.registry.providers import Provider

_MOST = 2000
"""Models that are looked up at once."""


@dataclass(frozen=True, slots=True)
class Search:
    """What a search brought."""

    found: tuple[LookedUp, ...] = ()
    trouble: str = ""
    """Why nothing could be looked up; empty: it could."""


class PriceSearch:
    """Asks the price data, each thing once; `ask` does so in a process of its own."""

    def __init__(self, ask: Callable[[Question], Awaitable[Found]] = price_data.ask) -> None:
        self.ask = ask
        self.source = data_version()
        """Which data that is."""
        self._asked: set[tuple[Model, str]] = set()
        """What was asked since this plane started, and kept where there was an answer."""

    async def find(
        self, providers: Iterable[Provider], book: Mapping[Model, Kept], now: int
    ) -> Search:
        """Look up what providers' models cost that give no price, and that is not kept."""
        wanted = [
            one
            for one in _unpriced(providers)
            if (_model(one), _reference(one)) not in self._asked
            and not _is_kept(one, book.get(_model(one)), self.source)
        ][:_MOST]
        if not wanted:
            return Search()
        try:
            found = await self.ask(Question(utc_text(now)[:10], tuple(wanted)))
        except WatchkeeperError as error:
            return Search(trouble=f"{error.message}; {error.remedy or ''}".rstrip("; "))
        return Search(
            tuple(
                LookedUp(
                    _model(one),
                    _reference(one),
                    tuple((_begin(dated.since), dated.price) for dated in prices),
                )
                for one, prices in zip(wanted, found.prices, strict=True)
            )
        )

    def note(self, search: Search) -> None:
        """Take that what was found is kept: it needs not be asked again."""
        self._asked.update((one.model, one.reference) for one in search.found)


def known_of(providers: Iterable[Provider], book: Mapping[Model, Kept]) -> KnownPrices:
    """Return the kept prices of providers' models, found under the names that they have now."""
    return {
        _model(one): kept.price
        for one in _unpriced(providers)
        if (kept := book.get(_model(one))) is not None and kept.reference == _reference(one)
    }


def warn_unpriced(models: Mapping[str, GovernedModel]) -> tuple[str, ...]:
    """Say, in words, of which targets nobody knows the price."""
    return tuple(
        f"model {name!r}: nobody knows what {target.model.name!r} of provider "
        f"{target.provider.name!r} costs; give its input_usd_per_million and "
        "output_usd_per_million or a price_of, else its calls are refused under budgets in dollars"
        for name, governed in sorted(models.items())
        for target in governed.targets
        if target.price is None
    )


def _begin(day: str | None) -> int | None:
    if day is None:
        return None
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * MICROSECONDS


def _unpriced(providers: Iterable[Provider]) -> Iterator[Wanted]:
    for provider in providers:
        for model in provider.models:
            if model.input_usd_per_million is None:
                yield Wanted(provider.name, provider.base_url, model.name, model.price_of)


def _model(wanted: Wanted) -> Model:
    return wanted.provider, wanted.model


def _reference(wanted: Wanted) -> str:
    return wanted.price_of or wanted.base_url


def _is_kept(wanted: Wanted, kept: Kept | None, source: str) -> bool:
    return kept is not None and (kept.reference, kept.source) == (_reference(wanted), source)
