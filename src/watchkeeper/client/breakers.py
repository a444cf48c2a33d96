"""The typed client's part on circuit breakers."""

from __future__ import annotations

from urllib.parse import quote

from watchkeeper.client.calls import Calls
from watchkeeper.wire.breakers import BreakerReset, BreakerRow
from watchkeeper.wire.pages import Page


class BreakerCalls(Calls):
    """What trips, and closing it again."""

    async def breakers(
        self, *, state: str = "all", agent: str | None = None, limit: int | None = None
    ) -> Page[BreakerRow]:
        """List breakers, those that are not closed first; `state` is all or open."""
        return await self._get(
            Page[BreakerRow], "/v1/breakers", state=state, agent=agent, limit=limit
        )

    async def breaker(self, breaker: str) -> BreakerRow:
        """Read one breaker by its id, `DOCUMENT/AGENT`."""
        return await self._get(BreakerRow, f"/v1/breakers/{quote(breaker)}")

    async def reset_breaker(self, breaker: str, reset: BreakerReset) -> BreakerRow:
        """Close a breaker by hand; raises `Conflict` if it is closed."""
        return await self._post(BreakerRow, f"/v1/breakers/{quote(breaker)}/reset", reset)
