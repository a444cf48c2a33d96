"""The typed client's part on replays of single runs; decided again they are in `policies`."""

from __future__ import annotations

from watchkeeper.client.calls import Calls, path_part
from watchkeeper.wire.replays import (
    Fork,
    ForkResult,
    Play,
    Playback,
    PlaybackOpened,
    RunSteps,
    StepDetail,
)

FORK_SECONDS = 600
"""How long a model, and whoever must approve its call, may take."""


class ReplayCalls(Calls):
    """A run's steps, forks of it, and agents that play it again."""

    async def steps(
        self, run: str, *, after: int | None = None, limit: int | None = None
    ) -> RunSteps:
        """List the steps of a run, oldest first."""
        path = f"/v1/runs/{path_part(run)}/steps"
        return await self._get(RunSteps, path, after=after, limit=limit)

    async def step(self, run: str, at: str) -> StepDetail:
        """Read a step, by its number or decision, with what was known at it."""
        return await self._get(StepDetail, f"/v1/runs/{path_part(run)}/steps/{path_part(at)}")

    async def fork(self, run: str, fork: Fork) -> ForkResult:
        """Send a recorded model call once more, with another result of a tool in it."""
        path = f"/v1/runs/{path_part(run)}/forks"
        return await self._post(ForkResult, path, fork, wait_seconds=FORK_SECONDS)

    async def play(self, run: str, play: Play) -> PlaybackOpened:
        """Open a replay of a run for its agent."""
        path = f"/v1/runs/{path_part(run)}/playbacks"
        return await self._post(PlaybackOpened, path, play)

    async def playback(self, run: str) -> Playback:
        """Read what an agent did in a replay."""
        return await self._get(Playback, f"/v1/runs/{path_part(run)}/playback")

    async def end_playback(self, run: str) -> Playback:
        """End a replay of an agent."""
        return await self._post(Playback, f"/v1/runs/{path_part(run)}/playback/end", None)
