"""The typed client's part on runtimes."""

from __future__ import annotations

from watchkeeper.client.calls import Calls, path_part
from watchkeeper.wire.pages import Page
from watchkeeper.wire.runtimes import (
    Adopt,
    RemoteRunRow,
    RemoteStop,
    RuntimeRow,
    StopRemote,
    TellRemote,
)


class RuntimeCalls(Calls):
    """Where agents' work runs, and what to do about a run there."""

    async def runtimes(self) -> Page[RuntimeRow]:
        """List runtimes by name."""
        return await self._get(Page[RuntimeRow], "/v1/runtimes")

    async def runtime(self, name: str) -> RuntimeRow:
        """Read one runtime."""
        return await self._get(RuntimeRow, f"/v1/runtimes/{path_part(name)}")

    async def remote_runs(
        self,
        name: str,
        *,
        standing: str | None = None,
        state: str = "live",
        after: str | None = None,
        limit: int | None = None,
    ) -> Page[RemoteRunRow]:
        """List runs of a runtime; `standing` is ours, adopted or rogue, `state` live or all."""
        return await self._get(
            Page[RemoteRunRow],
            f"/v1/runtimes/{path_part(name)}/runs",
            standing=standing,
            state=state,
            after=after,
            limit=limit,
        )

    async def start_runtime(self, name: str, tell: TellRemote) -> RuntimeRow:
        """Start a supervised process that was stopped for good."""
        return await self._post(RuntimeRow, f"/v1/runtimes/{path_part(name)}/start", tell)

    async def adopt_run(self, name: str, id: str, adopt: Adopt) -> RemoteRunRow:
        """Take a rogue run over; raises `Conflict` for one that is governed or has ended."""
        return await self._post(RemoteRunRow, _path(name, id, "adopt"), adopt)

    async def stop_remote(self, name: str, id: str, stop: StopRemote) -> RemoteStop:
        """Stop a run in its runtime."""
        return await self._post(RemoteStop, _path(name, id, "stop"), stop)

    async def pause_remote(self, name: str, id: str, tell: TellRemote) -> RemoteStop:
        """Hold a run where it is."""
        return await self._post(RemoteStop, _path(name, id, "pause"), tell)

    async def resume_remote(self, name: str, id: str, tell: TellRemote) -> RemoteStop:
        """Let a paused run go on."""
        return await self._post(RemoteStop, _path(name, id, "resume"), tell)


def _path(name: str, id: str, verb: str) -> str:
    return f"/v1/runtimes/{path_part(name)}/runs/{path_part(id)}/{verb}"
