"""What an adapter does about the verbs that its kind of runtime does not offer: says so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from watchkeeper.core.clock import Clock
from watchkeeper.registry.runtimes import Runtime
from watchkeeper.runtimes.calling import RuntimeCalls
from watchkeeper.runtimes.model import Interrupt, Listing, Offered, RemoteRun, Reply, Stopping
from watchkeeper.wire.runtimes import AnswerResult, Verb


class Bare:
    """An adapter that offers nothing yet: kinds override what they have, and `called` is theirs."""

    can: frozenset[Verb] = frozenset()
    called: ClassVar[str] = "this kind of runtime"

    def __init__(
        self, document: Runtime, calls: RuntimeCalls, clock: Clock, directory: Path
    ) -> None:
        self.document = document
        self.calls = calls
        self.clock = clock
        self.directory = directory

    def lacks(self, verb: str) -> Stopping:
        """Return the answer to a verb that is not there."""
        return Stopping(
            "not supported", f"{self.called} has no way to {verb}; the gateways cover its calls"
        )

    async def discover(self) -> Sequence[Offered]:
        """Return the agents that the document names."""
        return tuple(Offered(one.id, one.id) for one in self.document.agents)

    async def list_runs(self) -> Listing:
        """Return nothing, and that there may be more."""
        return Listing((), complete=False)

    async def inspect(self, run: RemoteRun) -> RemoteRun | None:
        """Return the run as the listing has it; None if it is not there."""
        runs = (await self.list_runs()).runs
        return next((one for one in runs if (one.id, one.thread) == (run.id, run.thread)), None)

    async def waiting(self) -> Sequence[Interrupt]:
        """Return nothing."""
        return ()

    async def answer(self, interrupt: Interrupt, reply: Reply) -> AnswerResult:
        """Answer nothing."""
        return "not supported"

    async def stop(self, run: RemoteRun, *, now: bool) -> Stopping:
        """Say that it can't be done."""
        return self.lacks("stop a run")

    async def stop_all(self) -> bool:
        """Send nothing."""
        return False

    async def pause(self, run: RemoteRun) -> Stopping:
        """Say that it can't be done."""
        return self.lacks("pause a run")

    async def resume(self, run: RemoteRun) -> Stopping:
        """Say that it can't be done."""
        return self.lacks("resume a run")

    async def close(self) -> None:
        """Let go of nothing: requests hold nothing."""
