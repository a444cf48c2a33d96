"""The typed client's part on delegations."""

from __future__ import annotations

from watchkeeper.client.calls import Calls, path_part
from watchkeeper.wire.base import Sent
from watchkeeper.wire.delegations import Delegate, DelegationRow
from watchkeeper.wire.pages import Page


class DelegationCalls(Calls):
    """Who votes for whom."""

    async def delegations(
        self, *, state: str = "open", limit: int | None = None
    ) -> Page[DelegationRow]:
        """List delegations, newest first; `state` is open (in force or to come) or all."""
        return await self._get(Page[DelegationRow], "/v1/delegations", state=state, limit=limit)

    async def delegate(self, delegate: Delegate) -> DelegationRow:
        """Let another person cast this person's votes for a time."""
        return await self._post(DelegationRow, "/v1/delegations", delegate)

    async def end_delegation(self, delegation: str) -> DelegationRow:
        """End a delegation that this person gave or has."""
        path = f"/v1/delegations/{path_part(delegation)}/end"
        return await self._post(DelegationRow, path, Sent())
