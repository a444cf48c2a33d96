"""The typed client's part on agents and their runs."""

from __future__ import annotations

from watchkeeper.client.calls import Calls, path_part
from watchkeeper.wire.agents import AgentDetail, AgentRow, Enrol, Enrolment, RunDetail, RunRow
from watchkeeper.wire.pages import Page


class RunCalls(Calls):
    """Agents with their contracts, their enrolment, and runs."""

    async def agents(
        self, *, after: str | None = None, limit: int | None = None, filter: str | None = None
    ) -> Page[AgentRow]:
        """List the fleet."""
        return await self._get(
            Page[AgentRow], "/v1/agents", after=after, limit=limit, filter=filter
        )

    async def agent(self, name: str) -> AgentDetail:
        """Read one agent with its contract."""
        return await self._get(AgentDetail, f"/v1/agents/{path_part(name)}")

    async def enrol(self, enrol: Enrol) -> Enrolment:
        """Make a one-time secret for an agent's workload."""
        return await self._post(Enrolment, "/v1/enrolments", enrol)

    async def runs(
        self,
        *,
        agent: str | None = None,
        version: int | None = None,
        state: str | None = None,
        on_behalf_of: str | None = None,
        cost_at_least: int | None = None,
        replay_of: str | None = None,
        filter: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Page[RunRow]:
        """List runs, newest first; `replay_of` `any` has all replays."""
        return await self._get(
            Page[RunRow],
            "/v1/runs",
            agent=agent,
            version=version,
            state=state,
            on_behalf_of=on_behalf_of,
            cost_at_least=cost_at_least,
            replay_of=replay_of,
            filter=filter,
            after=after,
            limit=limit,
        )

    async def run(self, run: str) -> RunDetail:
        """Read one run."""
        return await self._get(RunDetail, f"/v1/runs/{path_part(run)}")
