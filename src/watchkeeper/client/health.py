"""The typed client's part on outcomes that nobody knows."""

from __future__ import annotations

from watchkeeper.client.calls import Calls, path_part
from watchkeeper.wire.health import Reconcile, Unsettled, UnsettledRow


class HealthCalls(Calls):
    """What nobody knows the end of, and a person's word on it."""

    async def unsettled(
        self,
        *,
        state: str = "unknown",
        agent: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Unsettled:
        """List outcomes to reconcile; `state` is unknown, reconciled or all."""
        return await self._get(
            Unsettled, "/v1/unsettled", state=state, agent=agent, after=after, limit=limit
        )

    async def unsettled_outcome(self, decision: str) -> UnsettledRow:
        """Read one of them."""
        return await self._get(UnsettledRow, f"/v1/unsettled/{path_part(decision)}")

    async def reconcile(self, decision: str, reconcile: Reconcile) -> UnsettledRow:
        """Settle one; raises `Conflict` if its outcome is known meanwhile."""
        return await self._post(
            UnsettledRow, f"/v1/unsettled/{path_part(decision)}/reconcile", reconcile
        )
