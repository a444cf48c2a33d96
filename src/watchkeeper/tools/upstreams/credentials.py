"""What is injected at the boundary for an upstream: read or fetched when used, never kept."""

from __future__ import annotations

from collections.abc import Mapping

from watchkeeper.core.errors import Unavailable, WatchkeeperError
from watchkeeper.tools.secrets.known import KnownValues
from watchkeeper.tools.secrets.oauth import OAuthTokens
from watchkeeper.tools.secrets.references import References
from watchkeeper.tools.upstreams.model import CallContext, Credential, Mint


class Credentials:
    """Turns a credential of a document into the header or value that an upstream is given."""

    def __init__(
        self, references: References, oauth: OAuthTokens | None, known: KnownValues
    ) -> None:
        self._references = references
        self._oauth = oauth
        self.known = known
        self.mint: Mint | None = None
        """Signs a token for an audience; without it, `minted` credentials are unavailable."""

    async def value(self, credential: Credential, context: CallContext | None = None) -> str:
        """Return the secret itself; raise `Unavailable` when there is none."""
        if credential.source is not None:
            return await self._references.read(credential.source)
        if credential.oauth is not None and self._oauth is not None:
            return await self._oauth.token(credential.oauth)
        if credential.minted is not None and self.mint is not None:
            minted = credential.minted
            return await self.mint(minted.audience, minted.ttl_seconds, context)
        raise Unavailable(
            "this plane cannot provide that kind of credential yet", code="credential_missing"
        )

    async def headers(
        self, credential: Credential | None, context: CallContext | None = None
    ) -> dict[str, str]:
        """Return the header that carries the credential; raises as :meth:`value`."""
        if credential is None:
            return {}
        return {credential.header: credential.prefix + await self.value(credential, context)}

    async def redact(
        self, credential: Credential | None, headers: Mapping[str, str], data: bytes
    ) -> bytes:
        """Return an answer without any credential in use, or the one that its request carried."""
        own = ""
        if credential is not None and credential.minted is not None:
            own = headers.get(credential.header, "").removeprefix(credential.prefix)
        return await self.known.redact_answer(data, own)

    async def trouble(self, source: str) -> WatchkeeperError | None:
        """Return why the secret behind a reference cannot be had, or None."""
        return await self._references.trouble(source)

    def refused(self, credential: Credential | None, headers: Mapping[str, str]) -> bool:
        """Take that an upstream refused these headers (HTTP 401).

        Returns whether asking once more makes sense: a fresh token can be fetched.
        """
        if credential is None or credential.oauth is None or self._oauth is None:
            return False
        token = headers.get(credential.header, "").removeprefix(credential.prefix)
        self._oauth.refuse(credential.oauth, token)
        return True
