"""The typed client's part on telemetry."""

from __future__ import annotations

from watchkeeper.client.calls import Calls, path_part
from watchkeeper.wire.pages import Page
from watchkeeper.wire.telemetry import DismissFinding, FindingRow, TelemetryStatus, Usage


class TelemetryCalls(Calls):
    """What agents say of themselves, and what the plane says elsewhere."""

    async def telemetry(self) -> TelemetryStatus:
        """Read what comes in and what goes out."""
        return await self._get(TelemetryStatus, "/v1/telemetry")

    async def findings(
        self,
        *,
        state: str = "open",
        agent: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Page[FindingRow]:
        """List what agents report and the plane does not know of."""
        return await self._get(
            Page[FindingRow],
            "/v1/telemetry/findings",
            state=state,
            agent=agent,
            after=after,
            limit=limit,
        )

    async def reported_usage(self, *, agent: str | None = None) -> Usage:
        """Read the tokens and costs that agents report, beside what was metered."""
        return await self._get(Usage, "/v1/telemetry/usage", agent=agent)

    async def dismiss_finding(self, finding: str, reason: str) -> FindingRow:
        """Take one off the list."""
        path = f"/v1/telemetry/findings/{path_part(finding)}/dismiss"
        return await self._post(FindingRow, path, DismissFinding(reason=reason))
