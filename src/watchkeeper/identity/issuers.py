"""Trusted issuers: their keys, kept a while, and what their tokens prove."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from watchkeeper.core.clock import MICROSECONDS, Clock
from watchkeeper.core.errors import Invalid, Unavailable
from watchkeeper.identity.jwt import Claims, PublicKey, UnknownKey, read_keys, verify

FRESH_SECONDS = 600
"""How long fetched keys are used before they are fetched again."""
STALE_SECONDS = 3600
"""How long fetched keys are used while fetching fails."""
AGAIN_SECONDS = 30
"""How often at most an issuer is asked, whatever tokens name unknown keys."""

FetchJson = Callable[[str, bool], Awaitable[Any]]
"""Fetches JSON from a declared URL; the flag allows private addresses. Raises `Unavailable`."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """An issuer as it was declared."""

    name: str
    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    jwks: Any = field(default=None, hash=False, compare=False)
    jwks_url: str | None = None
    allow_private: bool = False


@dataclass(slots=True)
class _Kept:
    keys: tuple[PublicKey, ...] = ()
    fetched_at: int | None = None
    tried_at: int | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Issuers:
    """Verifies tokens of trusted issuers with their keys, inline or fetched."""

    def __init__(self, clock: Clock, fetch: FetchJson | None = None) -> None:
        self._clock = clock
        self._fetch = fetch
        self._kept: dict[tuple[str, str], _Kept] = {}

    async def verify(
        self,
        token: str,
        trusted: Trusted,
        *,
        audiences: Collection[str] = (),
        longest_seconds: int | None = None,
    ) -> Claims:
        """Return the claims of a token that a trusted issuer signed.

        It must be for the issuer's declared audience, or one of `audiences` where given.
        Raises `Unauthenticated` for a token that is not as it must be, `Unavailable` when the
        issuer's keys can't be had.
        """
        await load_library()

        def check(keys: tuple[PublicKey, ...]) -> Claims:
            return verify(
                token,
                keys,
                algorithms=trusted.algorithms,
                issuer=trusted.issuer,
                audiences=audiences or (trusted.audience,),
                now=self._clock.now(),
                longest_seconds=longest_seconds,
            )

        if trusted.jwks_url is None:
            return check(read_keys(trusted.jwks))
        kept = self._kept.setdefault((trusted.name, trusted.jwks_url), _Kept())
        await self._refresh(kept, trusted, FRESH_SECONDS)
        try:
            return check(kept.keys)
        except UnknownKey:
            # it may have rotated its keys since; whoever invents key ids makes it no busier
            if not await self._refresh(kept, trusted, AGAIN_SECONDS):
                raise
            return check(kept.keys)

    async def _refresh(self, kept: _Kept, trusted: Trusted, older_than: int) -> bool:
        """Fetch keys older than so many seconds, but not too often; tell if they are new."""
        async with kept.lock:
            now = self._clock.now()
            if kept.fetched_at is not None and now - kept.fetched_at < older_than * MICROSECONDS:
                return False
            just_tried = (
                kept.tried_at is not None and now - kept.tried_at < AGAIN_SECONDS * MICROSECONDS
            )
            if not just_tried:
                kept.tried_at = now
                try:
                    kept.keys = read_keys(await self._load(trusted))
                    kept.fetched_at = now
                    return True
                except (Unavailable, Invalid) as error:
                    reason = error.message
            else:
                reason = "it did not answer a moment ago"
            if kept.fetched_at is None or now - kept.fetched_at > STALE_SECONDS * MICROSECONDS:
                raise Unavailable(
                    f"the keys of issuer {trusted.name} can't be had: {reason}",
                    rule="identity/issuer",
                    remedy="look at its jwks_url; nothing was done",
                )
            return False

    async def _load(self, trusted: Trusted) -> Any:
        if self._fetch is None or trusted.jwks_url is None:
            raise Unavailable("nothing here fetches keys")
        return await self._fetch(trusted.jwks_url, trusted.allow_private)


async def load_library() -> None:
    """Load the library that verifies and signs, off the loop: it takes a tenth of a second."""
    await asyncio.to_thread(importlib.import_module, "joserfc.jws")
    await asyncio.to_thread(importlib.import_module, "joserfc.jwk")
