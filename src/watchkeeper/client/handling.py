"""The typed client's part on what else becomes of requests than a vote."""

from __future__ import annotations

from watchkeeper.client.calls import Calls, path_part
from watchkeeper.wire.base import Sent
from watchkeeper.wire.requests import (
    BreakGlass,
    Cancelled,
    Comment,
    Edit,
    RequestDetail,
    Review,
    TakeBack,
)


class HandlingCalls(Calls):
    """Narrowing a request, talking about it, breaking the glass and reviewing that."""

    async def edit_request(self, request: str, edit: Edit) -> RequestDetail:
        """Narrow a request; returns the one that stands for it, with this person's vote."""
        return await self._handle(request, "edit", edit)

    async def comment(self, request: str, comment: Comment) -> RequestDetail:
        """Say something of a request."""
        return await self._handle(request, "comments", comment)

    async def break_glass(self, request: str, alone: BreakGlass) -> RequestDetail:
        """Approve alone in an emergency."""
        return await self._handle(request, "break-glass", alone)

    async def review(self, request: str, review: Review) -> RequestDetail:
        """Say of a break-glass approval whether it was justified."""
        return await self._handle(request, "review", review)

    async def take_back(self, request: str, back: TakeBack) -> RequestDetail:
        """Take an approval back that was not used yet."""
        return await self._handle(request, "take-back", back)

    async def cancel_request(self, request: str) -> Cancelled:
        """Take a request back, as its agent: the bearer has to be the run's token."""
        return await self._post(Cancelled, f"/v1/requests/{path_part(request)}/cancel", Sent())

    async def _handle(self, request: str, what: str, body: Sent) -> RequestDetail:
        return await self._post(RequestDetail, f"/v1/requests/{path_part(request)}/{what}", body)
