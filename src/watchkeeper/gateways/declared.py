"""Where the plane may go at all: the places that documents and settings name."""

from __future__ import annotations

from collections.abc import Iterator

from watchkeeper.core.addresses import place_of
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.catalogue import Catalogue, CatalogueView


class DeclaredPlaces:
    """Tells whether a `scheme://host:port` is one that is declared now."""

    def __init__(self, view: CatalogueView, *settings: str) -> None:
        self._view = view
        self._settings = frozenset(_origins(settings))
        self._known: tuple[Catalogue, frozenset[str]] | None = None

    def __call__(self, origin: str) -> bool:
        """Return whether a place is declared."""
        now = self._view.now
        if self._known is None or self._known[0] is not now:
            self._known = (now, frozenset(_origins(_urls(now))))
        return origin in self._known[1] or origin in self._settings


def _urls(catalogue: Catalogue) -> Iterator[str | None]:
    for upstream in catalogue.upstreams.values():
        yield upstream.url
        if upstream.credential is not None and upstream.credential.oauth is not None:
            yield upstream.credential.oauth.token_url
    for provider in catalogue.providers.values():
        yield provider.base_url
        if provider.credential is not None and provider.credential.oauth is not None:
            yield provider.credential.oauth.token_url
    for issuer in catalogue.issuers.values():
        yield from (issuer.jwks_url, issuer.token_url, issuer.device_authorization_url)
    for runtime in catalogue.runtimes.values():
        yield runtime.url
        if runtime.credential is not None and runtime.credential.oauth is not None:
            yield runtime.credential.oauth.token_url
    for webhook in catalogue.webhooks.values():
        yield webhook.url


def _origins(urls: Iterator[str | None] | tuple[str, ...]) -> Iterator[str]:
    for url in urls:
        if url:
            try:
                yield place_of(url).origin
            except Invalid:
                continue  # it was declared before such URLs were refused
