"""The typed client's part on approval requests."""

from __future__ import annotations

from watchkeeper.client.calls import Calls, path_part
from watchkeeper.wire.pages import Page
from watchkeeper.wire.requests import Acknowledge, Escalate, RequestDetail, RequestRow, Vote


class RequestCalls(Calls):
    """Requests: listed, read, voted on."""

    async def requests(
        self,
        *,
        state: str = "pending",
        role: str | None = None,
        agent: str | None = None,
        filter: str | None = None,
        together: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Page[RequestRow]:
        """List approval requests; `state` is pending (by decide_by), decided or all.

        `together` (tool, agent or object) has pending ones that share it stand together.
        """
        return await self._get(
            Page[RequestRow],
            "/v1/requests",
            state=state,
            role=role,
            agent=agent,
            filter=filter,
            together=together,
            after=after,
            limit=limit,
        )

    async def request(self, request: str) -> RequestDetail:
        """Read one request; the plane records that this person has seen it."""
        return await self._get(RequestDetail, f"/v1/requests/{path_part(request)}")

    async def vote(self, request: str, vote: Vote) -> RequestDetail:
        """Approve or reject; raises `Conflict` if it was decided or has changed meanwhile."""
        return await self._post(RequestDetail, f"/v1/requests/{path_part(request)}/votes", vote)

    async def escalate(self, request: str, escalate: Escalate) -> RequestDetail:
        """Ask the next level now."""
        return await self._post(
            RequestDetail, f"/v1/requests/{path_part(request)}/escalate", escalate
        )

    async def acknowledge(self, request: str, acknowledge: Acknowledge) -> RequestDetail:
        """Say "I am on it": escalation and reminders wait until `acknowledged_until`."""
        return await self._post(
            RequestDetail, f"/v1/requests/{path_part(request)}/acknowledge", acknowledge
        )
