"""The typed client's part on people and their logins."""

from __future__ import annotations

from watchkeeper.client.calls import Calls
from watchkeeper.wire.pages import Page
from watchkeeper.wire.people import (
    AskChallenge,
    AskDevice,
    AskDeviceState,
    Challenge,
    DeviceLogin,
    DeviceState,
    IssueToken,
    PersonRow,
    PersonToken,
    RevokeToken,
    SshLogin,
    TokenRow,
)
from watchkeeper.wire.plane import Me


class PersonCalls(Calls):
    """People, their tokens, and logging in."""

    async def people(self) -> Page[PersonRow]:
        """List the people who have a document."""
        return await self._get(Page[PersonRow], "/v1/persons")

    async def tokens(self) -> Page[TokenRow]:
        """List people's tokens that open something."""
        return await self._get(Page[TokenRow], "/v1/persons/tokens")

    async def revoke_token(self, ask: RevokeToken) -> None:
        """End a person's token at once."""
        await self._send_nothing("/v1/persons/tokens/revoke", ask)

    async def whoami(self) -> Me:
        """Read who the plane takes me for."""
        return await self._get(Me, "/v1/me")

    async def challenge(self, ask: AskChallenge) -> Challenge:
        """Get something to sign with an SSH key."""
        return await self._post(Challenge, "/v1/login/challenge", ask)

    async def log_in_with_key(self, ask: SshLogin) -> PersonToken:
        """Log in with a signed challenge."""
        return await self._post(PersonToken, "/v1/login/ssh", ask)

    async def begin_device(self, ask: AskDevice) -> DeviceLogin:
        """Begin a login that is confirmed at an issuer."""
        return await self._post(DeviceLogin, "/v1/login/device", ask, wait_seconds=15)

    async def device_state(self, ask: AskDeviceState) -> DeviceState:
        """Ask how a login by device stands."""
        return await self._post(DeviceState, "/v1/login/device/state", ask, wait_seconds=15)

    async def log_out(self) -> None:
        """End the token that this client calls with."""
        await self._send_nothing("/v1/logout")

    async def issue_token(self, ask: IssueToken) -> PersonToken:
        """Make a person's token for a remote console."""
        return await self._post(PersonToken, "/v1/persons/tokens", ask)
