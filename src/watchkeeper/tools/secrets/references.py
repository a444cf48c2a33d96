"""Reading a secret by reference: a variable, a file, the sealed store, or a vault."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

from watchkeeper.core.errors import Unavailable, WatchkeeperError
from watchkeeper.tools.secrets.known import KnownValues
from watchkeeper.tools.secrets.sealed import SealedStore

_LARGEST = 16_384
Read = Callable[[str], Awaitable[str]]


class References:
    """Reads when asked, keeps nothing itself, and tells `known` what it has read."""

    def __init__(self, known: KnownValues, *, sealed: SealedStore | None = None) -> None:
        self._known = known
        self._sealed = sealed
        self.vault: Read | None = None

    async def read(self, source: str) -> str:
        """Return the secret that a reference leads to.

        Raises `Unavailable` when there is none; the message names the reference, never a value.
        """
        kind, _, place = source.partition(":")
        if kind == "env":
            secret = os.environ.get(place, "")
            remedy = f"set the variable {place} where the plane is started, then restart it"
        elif kind == "file":
            secret = await asyncio.to_thread(_read_file, place)
            remedy = f"put the secret in {place}, readable by the plane"
        elif kind == "sealed" and self._sealed is not None:
            secret = await self._sealed.read(place)
            remedy = f"watchkeeper secrets put {place}"
        elif kind == "vault":
            secret = await self._read_vault(place)
            remedy = "put it in the vault"
        else:
            raise Unavailable(
                "a credential reference is none of env:NAME, file:PATH, sealed:NAME and "
                "vault:PATH#FIELD",
                code="credential_missing",
            )
        secret = secret.strip()
        if not secret:
            raise Unavailable(
                f"the credential {source} has no value", code="credential_missing", remedy=remedy
            )
        if not secret.isprintable() or not secret.isascii():
            raise Unavailable(
                f"the credential {source} holds characters that no header can carry",
                code="credential_missing",
                remedy=remedy,
            )
        self._known.remember(source, secret)
        return secret

    async def trouble(self, source: str) -> WatchkeeperError | None:
        """Return why a secret cannot be had; a vault is not asked only to find out."""
        kind, _, place = source.partition(":")
        if kind == "sealed" and self._sealed is not None:
            return await self._sealed.trouble(place)
        try:
            if kind != "vault":
                await self.read(source)
        except WatchkeeperError as error:
            return error
        return None

    async def _read_vault(self, place: str) -> str:
        if self.vault is None:
            raise Unavailable(
                "no vault is set for this plane",
                code="credential_missing",
                remedy="set vault_url and vault_token in [plane] of the configuration",
            )
        return await self.vault(place)


def _read_file(place: str) -> str:
    """Return what a file holds, nothing where it cannot be read; a pipe is not waited for."""
    try:
        descriptor = os.open(Path(place).expanduser(), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return os.read(descriptor, _LARGEST).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)
