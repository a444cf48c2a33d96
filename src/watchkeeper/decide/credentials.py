"""Which credentials the documents in force refer to, and who needs each."""

from __future__ import annotations

from collections.abc import Iterator

from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.registry.references import CredentialUse


def references_in_force(catalogue: Catalogue) -> dict[str, tuple[str, ...]]:
    """Return, by reference (`sealed:stripe`), who uses it: `upstream/books`, `provider/main`."""
    found: dict[str, list[str]] = {}
    for who, use in _uses(catalogue):
        sources = (use.source, use.oauth.client_secret if use.oauth else None)
        for source in sources:
            if source is not None:
                found.setdefault(source, []).append(who)
    for name, webhook in catalogue.webhooks.items():
        if webhook.secret is not None:
            found.setdefault(webhook.secret, []).append(f"webhook/{name}")
    for name, channel in catalogue.channels.items():
        found.setdefault(channel.url, []).append(f"channel/{name}")
    return {source: tuple(sorted(users)) for source, users in found.items()}


def _uses(catalogue: Catalogue) -> Iterator[tuple[str, CredentialUse]]:
    for name, upstream in catalogue.upstreams.items():
        if upstream.credential is not None:
            yield f"upstream/{name}", upstream.credential
    for name, provider in catalogue.providers.items():
        if provider.credential is not None:
            yield f"provider/{name}", provider.credential
