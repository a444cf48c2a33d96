"""The key that signs webhooks without a secret of their own: made once, kept in a private file.

It is apart from the key that signs tokens: what one signs is never taken for the other's.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from watchkeeper.core import base64url
from watchkeeper.core.errors import Unavailable
from watchkeeper.core.places import make_private
from watchkeeper.outbox.signatures import write_public

KEY_FILE = "webhooks.key"


class WebhookKey:
    """Reads the plane's webhook key, and makes it when it is first asked for."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / KEY_FILE
        self._key: Any = None
        self._turn = asyncio.Lock()

    async def private(self) -> Any:
        """Return the Ed25519 private key; raise `Unavailable` when its file can't be used."""
        async with self._turn:
            if self._key is None:
                self._key = await asyncio.to_thread(self._load)
            return self._key

    async def public(self) -> str:
        """Return the public half, `whpk_…`."""
        return write_public((await self.private()).public_key().public_bytes_raw())

    def _load(self) -> Any:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        try:
            make_private(self._path.parent)
            if not self._path.exists():
                self._write(Ed25519PrivateKey.generate().private_bytes_raw())
            if self._path.stat().st_mode & 0o077:
                raise Unavailable(
                    "others may read the key that signs webhooks",
                    where=str(self._path),
                    remedy="if others may have read it, delete it; receivers then need the new one",
                )
            return Ed25519PrivateKey.from_private_bytes(
                base64url.decode(self._path.read_text("ascii").strip())
            )
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it holds no key"
            raise Unavailable(
                f"the key that signs webhooks can't be used: {why}", where=str(self._path)
            ) from None

    def _write(self, raw: bytes) -> None:
        """Write the key whole or not at all: a plane killed meanwhile leaves no half of one."""
        fresh = self._path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(base64url.encode(raw) + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
