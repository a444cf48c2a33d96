"""Supervised processes on this machine: each launch of a document's command is a run.

What a stop confirms is that no process of the launch is left: neither of its process group and
session, nor what was started from it and went its own way.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from watchkeeper.core.clock import Clock
from watchkeeper.registry.runtimes import Runtime
from watchkeeper.runtimes.adapters.bare import Bare
from watchkeeper.runtimes.calling import RuntimeCalls
from watchkeeper.runtimes.model import (
    Information,
    Launches,
    Listing,
    Offered,
    RemoteRun,
    Stopping,
)
from watchkeeper.runtimes.processes.record import Launch
from watchkeeper.runtimes.processes.supervisor import Supervisor
from watchkeeper.tools.processes.table import Process
from watchkeeper.tools.upstreams.model import UpstreamFailure
from watchkeeper.wire.runtimes import RunState, Verb

WAIT_SECONDS = 3.0
"""How long a stop waits to see its end; a longer grace goes on by itself."""


class Processes(Bare):
    """One supervised process."""

    can: frozenset[Verb] = frozenset({"list", "inspect", "stop", "stop all", "pause", "resume"})
    called = "a supervised process"

    def __init__(
        self, document: Runtime, calls: RuntimeCalls, clock: Clock, directory: Path
    ) -> None:
        super().__init__(document, calls, clock, directory)
        self.supervisor = Supervisor(document, clock, directory)

    def follow(self, launches: Launches) -> None:
        """Have a run opened for each launch."""
        self.supervisor.launches = launches

    async def start(self) -> None:
        """Start the process that was stopped for good; one that lives is left as it is."""
        await self.supervisor.start()

    async def information(self) -> Information:
        """Look after the process, and start it where it is wanted: every poll begins with this."""
        try:
            record, alive = await self.supervisor.tend(start=True)
        except UpstreamFailure as failure:
            await self.supervisor.tend()
            return Information(problem=failure.message)
        latest = record.latest
        if alive or latest is None or not latest.failed:
            return Information()
        again = "it is started again" if self.supervisor.restarts else "it is not started again"
        said = _standing(latest, alive)[1]
        return Information(problem=f"it {said}, and {again}; what it wrote is in its output.log")

    async def discover(self) -> Sequence[Offered]:
        """Return the command."""
        offered = self._offered()
        return [Offered(offered, offered)]

    async def list_runs(self) -> Listing:
        """Return the launch that lives."""
        record, alive = await self.supervisor.tend()
        latest = record.latest
        return Listing((self._run(latest, alive),) if latest is not None and alive else ())

    async def inspect(self, run: RemoteRun) -> RemoteRun | None:
        """Return how a launch stands, or how it ended."""
        record, alive = await self.supervisor.tend()
        launch = next((one for one in record.launches if one.id == run.id), None)
        if launch is None:
            return None
        return self._run(launch, alive if launch is record.latest else [])

    async def stop(self, run: RemoteRun, *, now: bool) -> Stopping:
        """End a launch for good; `now`: without the grace that its document gives it."""
        record, alive = await self.supervisor.tend()
        launch = next((one for one in record.launches if one.id == run.id), None)
        if launch is None:
            return Stopping("already done", "no such launch is on record")
        if launch.ended_at is not None:
            # nor is it started again
            await self.supervisor.end(launch, now=now, wait_seconds=0)
            before = self._run(launch, ())
            return Stopping("already done", f"it has {before.said}", before.state)
        if await self.supervisor.end(launch, now=now, wait_seconds=WAIT_SECONDS):
            return Stopping("done", "no process of it is left", "stopped")
        record, alive = await self.supervisor.tend()
        after = self._run(launch, alive)
        grace = self.document.process.grace_seconds if self.document.process else 0
        how = "it was killed" if now else f"it was asked to end, and is killed after {grace} s"
        return Stopping("unconfirmed", f"{how}; {after.said}", after.state)

    async def stop_all(self) -> bool:
        """End the process at once, and do not start it again."""
        record, _ = await self.supervisor.tend()
        if record.latest is not None:
            await self.supervisor.end(record.latest, now=True, wait_seconds=0)
        return True

    async def pause(self, run: RemoteRun) -> Stopping:
        """Hold the process and its children where they are (SIGSTOP)."""
        return await self._hold(run, held=True)

    async def resume(self, run: RemoteRun) -> Stopping:
        """Let the process and its children go on (SIGCONT)."""
        return await self._hold(run, held=False)

    async def close(self) -> None:
        """End the process; the next plane starts it again."""
        await self.supervisor.close(wait_seconds=WAIT_SECONDS)

    async def _hold(self, run: RemoteRun, *, held: bool) -> Stopping:
        before = await self.inspect(run)
        if before is None:
            return Stopping("already done", "no such launch is on record")
        launch, alive = await self.supervisor.hold(held=held)
        if launch is None or launch.id != run.id or not alive:
            return Stopping("already done", f"it has {before.said}", before.state)
        now = self._run(launch, alive)
        done = all(one.held == held for one in alive)
        return Stopping("done" if done else "unconfirmed", now.said, now.state)

    def _offered(self) -> str:
        agents = self.document.agents
        return agents[0].id if agents else self.document.name

    def _run(self, launch: Launch, alive: Sequence[Process]) -> RemoteRun:
        state, said = _standing(launch, alive)
        return RemoteRun(
            id=launch.id,
            state=state,
            said=said,
            offered=self._offered(),
            our_run=launch.our_run,
            started_at=launch.began_at,
            updated_at=launch.ended_at,
        )


def _standing(launch: Launch, alive: Sequence[Process]) -> tuple[RunState, str]:
    """Return a launch's state, and words for it."""
    if alive:
        count = "1 process" if len(alive) == 1 else f"{len(alive)} processes"
        if any(one.identity == launch.leader for one in alive):
            said = f"{count}, pid {launch.pid}"
        else:
            said = f"{count} left of it, its first (pid {launch.pid}) has ended"
        if all(one.held for one in alive):
            return "paused", f"held: {said}"
        return "running", f"told to end: {said}" if launch.told else said
    state = launch.ended_state()
    if launch.code is None:
        return state, "ended" if state == "stopped" else "ended, and nobody saw how"
    if launch.code < 0:
        return state, f"ended by signal {-launch.code}"
    return state, f"ended with exit code {launch.code}"
