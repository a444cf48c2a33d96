"""The key that signs webhooks without a secret of their own: made once, kept in a private file.

It is apart from the key that signs tokens: what one signs is never taken for the other's.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from watchkeeper.core.key_files import load_or_make
from watchkeeper.outbox.signatures import write_public

KEY_FILE = "webhooks.key"
_WHAT = "the key that signs webhooks"


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
                self._key = await asyncio.to_thread(load_or_make, self._path, _WHAT)
            return self._key

    async def public(self) -> str:
        """Return the public half, `whpk_…`."""
        return write_public((await self.private()).public_key().public_bytes_raw())
