"""The typed client's part on standing approvals and on how approving goes."""

from __future__ import annotations

from watchkeeper.client.calls import Calls, path_part
from watchkeeper.wire.pages import Page
from watchkeeper.wire.quality import Hint, Quality
from watchkeeper.wire.requests import Judge, RequestDetail
from watchkeeper.wire.standing import EndStanding, ProposeStanding, StandingRow


class StandingCalls(Calls):
    """Standing approvals, judgements, quality and hints."""

    async def standing_approvals(
        self,
        *,
        state: str = "open",
        agent: str | None = None,
        tool: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Page[StandingRow]:
        """List standing approvals, newest first; `state` is open (proposed, standing) or all."""
        return await self._get(
            Page[StandingRow],
            "/v1/standing",
            state=state,
            agent=agent,
            tool=tool,
            after=after,
            limit=limit,
        )

    async def standing_approval(self, standing: str) -> StandingRow:
        """Read one standing approval."""
        return await self._get(StandingRow, f"/v1/standing/{path_part(standing)}")

    async def propose_standing(self, propose: ProposeStanding) -> StandingRow:
        """Ask for a standing approval; its `request` is decided like any other."""
        return await self._post(StandingRow, "/v1/standing", propose)

    async def end_standing(self, standing: str, end: EndStanding) -> StandingRow:
        """End a standing approval at once, or take back its proposal."""
        return await self._post(StandingRow, f"/v1/standing/{path_part(standing)}/end", end)

    async def judge(self, request: str, judge: Judge) -> RequestDetail:
        """Say later whether a decision was right; nobody judges what they voted on."""
        path = f"/v1/requests/{path_part(request)}/judgements"
        return await self._post(RequestDetail, path, judge)

    async def quality(
        self, *, by: str = "role", since: int | None = None, until: int | None = None
    ) -> Quality:
        """Read how approving went by person, role or tool; times in microseconds."""
        return await self._get(
            Quality, "/v1/requests/quality", by=by, since=since, until=until, wait_seconds=30
        )

    async def hints(self) -> Page[Hint]:
        """Read what would spare approvers work."""
        return await self._get(Page[Hint], "/v1/requests/hints", wait_seconds=30)
