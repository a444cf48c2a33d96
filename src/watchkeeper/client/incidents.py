"""The typed client's part on incidents and drills."""

from __future__ import annotations

from watchkeeper.client.calls import Calls, path_part
from watchkeeper.wire.drills import DrillDetail, DrillRow, HoldDrill
from watchkeeper.wire.incidents import (
    CloseIncident,
    IncidentDetail,
    IncidentReport,
    IncidentRow,
    JoinIncident,
    Note,
    ReopenIncident,
)
from watchkeeper.wire.pages import Page
from watchkeeper.wire.plane import EventRow

DRILL_SECONDS = 30.0
"""How long a drill may take: it asks runtimes whether they answer."""


class IncidentCalls(Calls):
    """What was stopped, what came of it, and rehearsals of that."""

    async def incidents(
        self, *, state: str = "open", after: str | None = None, limit: int | None = None
    ) -> Page[IncidentRow]:
        """List incidents, newest first; `state` is open, closed or all."""
        return await self._get(
            Page[IncidentRow], "/v1/incidents", state=state, after=after, limit=limit
        )

    async def incident(self, incident: str) -> IncidentDetail:
        """Read one incident with its locks and notes."""
        return await self._get(IncidentDetail, f"/v1/incidents/{path_part(incident)}")

    async def incident_timeline(
        self,
        incident: str,
        *,
        after: int | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> Page[EventRow]:
        """Read the ledger's entries about an incident: oldest first from where it began or after
        an entry; newest first before one.
        """
        return await self._get(
            Page[EventRow],
            f"/v1/incidents/{path_part(incident)}/timeline",
            after=after,
            before=before,
            limit=limit,
        )

    async def incident_report(self, incident: str, *, at: int | None = None) -> IncidentReport:
        """Generate the report, up to the newest entry of the ledger or up to `at`."""
        path = f"/v1/incidents/{path_part(incident)}/report"
        return await self._get(IncidentReport, path, wait_seconds=30, at=at)

    async def note_incident(self, incident: str, note: Note) -> IncidentDetail:
        """Note something; once this returns it is durable."""
        return await self._post(IncidentDetail, f"/v1/incidents/{path_part(incident)}/notes", note)

    async def join_incident(self, incident: str, join: JoinIncident) -> IncidentDetail:
        """Have a lock belong to an incident; raises `Conflict` for one that is closed."""
        return await self._post(IncidentDetail, f"/v1/incidents/{path_part(incident)}/join", join)

    async def close_incident(self, incident: str, close: CloseIncident) -> IncidentDetail:
        """Close an incident; raises `Conflict` if it is closed."""
        return await self._post(IncidentDetail, f"/v1/incidents/{path_part(incident)}/close", close)

    async def reopen_incident(self, incident: str, reopen: ReopenIncident) -> IncidentDetail:
        """Open a closed incident again; raises `Conflict` if it is open."""
        return await self._post(
            IncidentDetail, f"/v1/incidents/{path_part(incident)}/reopen", reopen
        )

    async def hold_drill(self, drill: HoldDrill) -> DrillDetail:
        """Rehearse a lock without effect; the report is kept."""
        return await self._post(DrillDetail, "/v1/drills", drill, wait_seconds=DRILL_SECONDS)

    async def drills(self, *, after: str | None = None, limit: int | None = None) -> Page[DrillRow]:
        """List drills, newest first."""
        return await self._get(Page[DrillRow], "/v1/drills", after=after, limit=limit)

    async def drill(self, drill: str) -> DrillDetail:
        """Read a drill with its report."""
        return await self._get(DrillDetail, f"/v1/drills/{path_part(drill)}")
