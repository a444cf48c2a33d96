"""HashiCorp Vault's key-value store, version 2, read over HTTP.

A reference `vault:MOUNT/PATH#FIELD` is read at `GET /v1/MOUNT/data/PATH`, as Vault's own
`vault kv get MOUNT/PATH` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from watchkeeper.core.clock import MICROSECONDS, Clock
from watchkeeper.core.errors import Unavailable
from watchkeeper.tools.upstreams.egress import Egress, ask_json

LONGEST_KEPT_SECONDS = 60
_LEASE_SHARE = 0.8
_MOST_KEPT = 1000
_ANSWER_BYTES = 256 * 1024
_OK, _NOT_FOUND = 200, 404
_DENIED = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class VaultSettings:
    """Which Vault, and how the plane proves itself to it."""

    url: str
    token: str
    """A reference (`env:`, `file:` or `sealed:`) to the token."""
    namespace: str = ""
    allow_private: bool = False


@dataclass(frozen=True, slots=True)
class _Kept:
    fields: dict[str, Any]
    until: int


class Vault:
    """Reads fields; each path is asked once at a time and kept a minute, or less than a lease."""

    def __init__(
        self,
        settings: VaultSettings,
        egress: Egress,
        clock: Clock,
        read_token: Callable[[str], Awaitable[str]],
    ) -> None:
        self._settings = settings
        self._egress = egress
        self._clock = clock
        self._read_token = read_token
        self._kept: dict[str, _Kept] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    async def read(self, place: str) -> str:
        """Return the field that `PATH#FIELD` names; raise `Unavailable` without it."""
        path, _, field = place.rpartition("#")
        mount, _, rest = path.strip("/").partition("/")
        if not mount or not rest or any(part in ("", ".", "..") for part in path.split("/")):
            raise Unavailable(
                "a vault reference is vault:MOUNT/PATH#FIELD", code="credential_missing"
            )
        kept = self._standing(path)
        if kept is None:
            async with self._turns.setdefault(path, asyncio.Lock()):
                kept = self._standing(path) or await self._fetch(path, mount, rest)
        value = kept.fields.get(field)
        if not isinstance(value, str):
            raise Unavailable(
                f"the vault's {path} has no text field {field!r}", code="credential_missing",
                remedy="put the field there, or correct the reference",
            )  # fmt: skip
        return value

    def _standing(self, path: str) -> _Kept | None:
        kept = self._kept.get(path)
        return kept if kept is not None and self._clock.now() < kept.until else None

    async def _fetch(self, path: str, mount: str, rest: str) -> _Kept:
        url = f"{self._settings.url.rstrip('/')}/v1/{quote(mount)}/data/{quote(rest)}"
        headers = {
            "x-vault-token": await self._read_token(self._settings.token),
            "x-vault-request": "true",
        }
        if self._settings.namespace:
            headers["x-vault-namespace"] = self._settings.namespace
        try:
            answer = await ask_json(
                self._egress, url, headers=headers, limit=_ANSWER_BYTES,
                allow_private=self._settings.allow_private,
            )  # fmt: skip
        except Unavailable as error:
            raise Unavailable(
                f"the vault cannot be read: {error.message}", code="vault_unavailable",
                remedy="check that it runs, is unsealed and reachable from the plane",
            ) from None  # fmt: skip
        if answer.status in _DENIED:
            raise Unavailable(
                f"the vault refuses the plane's token for {path}", code="vault_refused",
                remedy=f"renew the token at {self._settings.token}, or allow it to read the path",
            )  # fmt: skip
        if answer.status == _NOT_FOUND:
            raise Unavailable(f"the vault has nothing at {path}", code="credential_missing")
        data = answer.value.get("data") if isinstance(answer.value, dict) else None
        fields = data.get("data") if isinstance(data, dict) else None
        if answer.status != _OK or not isinstance(fields, dict):
            raise Unavailable(
                f"the vault answered HTTP {answer.status} for {path}", code="vault_unavailable"
            )
        if len(self._kept) >= _MOST_KEPT:
            self._kept.pop(next(iter(self._kept)))
        seconds = _keep_seconds(answer.value.get("lease_duration"))
        kept = _Kept(fields, self._clock.now() + int(seconds * MICROSECONDS))
        self._kept[path] = kept
        return kept


def _keep_seconds(lease: Any) -> float:
    """Return how long an answer may be kept: read anew well before its lease ends."""
    if isinstance(lease, int) and not isinstance(lease, bool) and lease > 0:
        return min(LONGEST_KEPT_SECONDS, lease * _LEASE_SHARE)
    return LONGEST_KEPT_SECONDS
