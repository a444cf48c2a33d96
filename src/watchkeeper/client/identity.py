"""The typed client's part on how agents prove themselves, and on the plane's own keys."""

from __future__ import annotations

from watchkeeper.client.calls import Calls, path_part
from watchkeeper.wire.agents import CredentialRow, RevokeCredential, Revoked
from watchkeeper.wire.oauth import RotateKeys, SigningKeyRow
from watchkeeper.wire.pages import Page
from watchkeeper.wire.people import Signers


class IdentityCalls(Calls):
    """Credentials and keys of agents; signing keys of the plane."""

    async def credentials(self, agent: str) -> Page[CredentialRow]:
        """List the ways in which an agent may prove itself."""
        path = f"/v1/agents/{path_part(agent)}/credentials"
        return await self._get(Page[CredentialRow], path)

    async def revoke_credential(self, credential: str, reason: str) -> Revoked:
        """Take back a credential or key with every token that was got with it."""
        path = f"/v1/credentials/{path_part(credential)}/revoke"
        return await self._post(Revoked, path, RevokeCredential(reason=reason))

    async def signing_keys(self) -> Page[SigningKeyRow]:
        """List the keys that the planes sign with, and those still published."""
        return await self._get(Page[SigningKeyRow], "/v1/signing-keys")

    async def rotate_keys(self, reason: str) -> Page[SigningKeyRow]:
        """Sign with a new key from now on."""
        return await self._post(
            Page[SigningKeyRow], "/v1/signing-keys/rotate", RotateKeys(reason=reason)
        )

    async def signers(self, *, person: str | None = None) -> Signers:
        """List the keys that votes are signed with, those that counted once too."""
        return await self._get(Signers, "/v1/signers", person=person)
