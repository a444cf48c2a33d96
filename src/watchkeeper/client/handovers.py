"""The typed client's part on shift hand-overs."""

from __future__ import annotations

from watchkeeper.client.calls import Calls, path_part
from watchkeeper.wire.handover import (
    AcknowledgeHandover,
    GiveHandover,
    HandoverDetail,
    HandoverDraft,
    HandoverRow,
)
from watchkeeper.wire.pages import Page


class HandoverCalls(Calls):
    """What is handed from one shift to the next."""

    async def handover_draft(
        self, *, role: str | None = None, schedule: str | None = None
    ) -> HandoverDraft:
        """Generate the summary of a shift until now; name a role or a schedule, or neither
        where the caller is of one only.
        """
        return await self._get(HandoverDraft, "/v1/handovers/draft", role=role, schedule=schedule)

    async def handovers(
        self,
        *,
        state: str = "all",
        role: str | None = None,
        schedule: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Page[HandoverRow]:
        """List hand-overs, newest first; `state` is all, given or acknowledged."""
        return await self._get(
            Page[HandoverRow],
            "/v1/handovers",
            state=state,
            role=role,
            schedule=schedule,
            after=after,
            limit=limit,
        )

    async def handover(self, handover: str) -> HandoverDetail:
        """Read one hand-over in full."""
        return await self._get(HandoverDetail, f"/v1/handovers/{path_part(handover)}")

    async def give_handover(self, give: GiveHandover) -> HandoverDetail:
        """Hand the watch over; what is given is kept as it is."""
        return await self._post(HandoverDetail, "/v1/handovers", give)

    async def acknowledge_handover(
        self, handover: str, acknowledge: AcknowledgeHandover
    ) -> HandoverDetail:
        """Take the watch over; raises `Conflict` if somebody has, `Forbidden` for the giver."""
        path = f"/v1/handovers/{path_part(handover)}/acknowledge"
        return await self._post(HandoverDetail, path, acknowledge)
