"""The typed client's part on tools and who offers them."""

from __future__ import annotations

from watchkeeper.client.calls import Calls, path_part
from watchkeeper.wire.pages import Page
from watchkeeper.wire.plane import UpstreamRow
from watchkeeper.wire.tools import Draft, JudgeDefinition, QuarantineRow, ToolDetail, ToolRow


class ToolCalls(Calls):
    """Tools and upstreams, definitions that wait for a person, drafts."""

    async def upstreams(self) -> Page[UpstreamRow]:
        """List upstreams and providers and how they do."""
        return await self._get(Page[UpstreamRow], "/v1/upstreams")

    async def tools(
        self, *, after: str | None = None, limit: int | None = None, filter: str | None = None
    ) -> Page[ToolRow]:
        """List tools; those that an upstream offers without a contract too."""
        return await self._get(Page[ToolRow], "/v1/tools", after=after, limit=limit, filter=filter)

    async def tool(self, name: str) -> ToolDetail:
        """Read one tool: its contract in words, its definitions, what was decided of it."""
        return await self._get(ToolDetail, f"/v1/tools/{path_part(name)}")

    async def quarantine(self, *, limit: int | None = None) -> Page[QuarantineRow]:
        """List definitions that wait for a person."""
        return await self._get(Page[QuarantineRow], "/v1/quarantine", limit=limit)

    async def accept_definition(self, judge: JudgeDefinition) -> QuarantineRow:
        """Trust a definition; raises `Conflict` if another is offered meanwhile."""
        return await self._post(QuarantineRow, "/v1/quarantine/accept", judge)

    async def reject_definition(self, judge: JudgeDefinition) -> QuarantineRow:
        """Keep a definition refused; raises as `accept_definition`."""
        return await self._post(QuarantineRow, "/v1/quarantine/reject", judge)

    async def draft(self, upstream: str) -> Draft:
        """Draft contracts for what an upstream offers without one."""
        return await self._get(Draft, f"/v1/upstreams/{path_part(upstream)}/draft")
