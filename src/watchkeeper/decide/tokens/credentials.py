"""Which credentials the documents in force refer to, who needs each, and as what."""

from __future__ import annotations

from collections.abc import Iterator

from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.registry.references import CredentialUse
from watchkeeper.tools.upstreams.model import Credential, Minting, OAuthClient


def credential_of(use: CredentialUse | None, allow_private: bool) -> Credential | None:
    """Return what a document's credential is at the boundary."""
    if use is None:
        return None
    client = minted = None
    if use.oauth is not None:
        one = use.oauth
        client = OAuthClient(
            one.token_url, one.client_id, one.client_secret, one.scope, one.resource, allow_private
        )
    if use.minted is not None:
        minted = Minting(use.minted.audience, use.minted.ttl_seconds)
    return Credential(use.source, use.header, use.prefix, use.environment, client, minted)


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
    for name, runtime in catalogue.runtimes.items():
        if runtime.credential is not None:
            yield f"runtime/{name}", runtime.credential
