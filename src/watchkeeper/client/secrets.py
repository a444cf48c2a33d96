"""The typed client's part on sealed secrets."""

from __future__ import annotations

from watchkeeper.client.calls import Calls, path_part
from watchkeeper.wire.base import Sent
from watchkeeper.wire.pages import Page
from watchkeeper.wire.secrets import KeyRotation, PutSecret, SecretRow


class SecretCalls(Calls):
    """Sealed secrets, by name alone."""

    async def secrets(self) -> Page[SecretRow]:
        """List sealed secrets; never their values."""
        return await self._get(Page[SecretRow], "/v1/secrets")

    async def put_secret(self, name: str, put: PutSecret) -> SecretRow:
        """Seal a value as the secret's next version."""
        return await self._post(SecretRow, f"/v1/secrets/{path_part(name)}", put)

    async def remove_secret(self, name: str) -> None:
        """Forget a secret's value."""
        await self._send_nothing(f"/v1/secrets/{path_part(name)}/remove")

    async def rotate_sealing_key(self) -> KeyRotation:
        """Seal every secret with a new key."""
        return await self._post(KeyRotation, "/v1/sealing-key/rotate", Sent(), wait_seconds=60)
