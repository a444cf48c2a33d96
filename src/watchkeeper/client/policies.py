"""The typed client's part on policies."""

from __future__ import annotations

from watchkeeper.client.calls import Calls, path_part
from watchkeeper.client.problems import read
from watchkeeper.wire.decisions import DecisionRow
from watchkeeper.wire.pages import Page
from watchkeeper.wire.policy import (
    Explain,
    ExplainResult,
    PolicySetDetail,
    PolicySetRow,
    PolicyVersionRow,
    ReplayResult,
    Rollback,
    SetStage,
    StartReplay,
)


class PolicyCalls(Calls):
    """Policy sets, why an action is decided so, and replays."""

    async def policies(self) -> Page[PolicySetRow]:
        """List policy sets with stage, version and what they did in a day."""
        return await self._get(Page[PolicySetRow], "/v1/policies")

    async def policy(self, name: str) -> PolicySetDetail:
        """Read one policy set with its text and policies."""
        return await self._get(PolicySetDetail, f"/v1/policies/{path_part(name)}")

    async def policy_decisions(
        self, name: str, *, after: str | None = None, limit: int | None = None
    ) -> Page[DecisionRow]:
        """List the decisions in which a policy of a set denied or held, newest first."""
        path = f"/v1/policies/{path_part(name)}/decisions"
        return await self._get(Page[DecisionRow], path, after=after, limit=limit)

    async def policy_versions(
        self, name: str, *, after: str | None = None, limit: int | None = None
    ) -> Page[PolicyVersionRow]:
        """List the versions of a policy set, newest first."""
        path = f"/v1/policies/{path_part(name)}/versions"
        return await self._get(Page[PolicyVersionRow], path, after=after, limit=limit)

    async def stage_policy(self, name: str, stage: SetStage) -> PolicySetDetail:
        """Move a policy set to another stage; raises `Conflict` if it changed meanwhile."""
        return await self._post(PolicySetDetail, f"/v1/policies/{path_part(name)}/stage", stage)

    async def roll_back_policy(self, name: str, rollback: Rollback) -> PolicySetDetail:
        """Put an earlier version in force again; raises `Conflict` if it changed meanwhile."""
        path = f"/v1/policies/{path_part(name)}/rollback"
        return await self._post(PolicySetDetail, path, rollback)

    async def explain(self, explain: Explain) -> ExplainResult:
        """Say why an action is decided as it is; nothing is recorded."""
        return await self._post(ExplainResult, "/v1/policy/explain", explain)

    async def start_replay(self, replay: StartReplay) -> ReplayResult:
        """Begin to decide recorded decisions again; `replay` tells how far it is."""
        return await self._post(ReplayResult, "/v1/policy/replays", replay, wait_seconds=60)

    async def replay(self, replay: str, *, wait_seconds: int = 0) -> ReplayResult:
        """Read how far a replay is, waiting up to `wait_seconds` for its end."""
        path = f"/v1/policy/replays/{path_part(replay)}"
        reply = await self.transport.send(
            "GET", path, params={"wait_seconds": str(wait_seconds)}, wait_seconds=wait_seconds
        )
        return read(reply, ReplayResult)
