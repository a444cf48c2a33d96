"""What runtimes tell, and what each adapter promises.

Every verb may be said again without harm; what it reports is read back from the runtime, not
assumed. An adapter raises only `UpstreamFailure` (what did not answer) and `Unavailable`; all text
that it hands on is the runtime's and untrusted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from watchkeeper.registry.runtimes import Runtime
from watchkeeper.wire.runtimes import AnswerResult, RunState, StopResult, Verb

OUR_RUN = "watchkeeper_run_id"
"""The key of a run's metadata that names the run of ours which covers it."""
MOST_RUNS = 1_000
"""Of one runtime that are looked at in one poll."""


@dataclass(frozen=True, slots=True)
class Offered:
    """An agent (assistant, graph, workflow, app) that a runtime has."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class RemoteRun:
    """A run as its runtime tells of it; times in microseconds."""

    id: str
    state: RunState
    said: str = ""
    thread: str | None = None
    offered: str | None = None
    our_run: str | None = None
    started_at: int | None = None
    updated_at: int | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """The runs that have not ended, as far as the runtime tells; `complete`: no more than these."""

    runs: tuple[RemoteRun, ...]
    complete: bool = True


Choice = Literal["approve", "edit", "reject", "respond"]


@dataclass(frozen=True, slots=True)
class Interrupt:
    """A run that waits in its runtime for a person's word."""

    run: RemoteRun
    id: str
    tool: str | None
    arguments: Mapping[str, Any]
    text: str
    """What the runtime asks."""
    choices: tuple[Choice, ...] = ("approve", "reject")
    raw: Any = None
    """As it came, for the adapter to answer in the same shape."""
    expires_at: int | None = None
    also: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    """The tools with their arguments that one answer decides together, where there are several;
    `tool` is None then."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A person's word on an interrupt."""

    choice: Choice
    arguments: Mapping[str, Any] | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Information:
    """What a runtime says of itself."""

    version: str | None = None
    authorised: bool = True
    problem: str | None = None
    """What is wrong with it, though it answers."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """What came of a stop, and the state that was read back."""

    result: StopResult
    detail: str
    state: RunState = "unknown"


class Launches(Protocol):
    """Opens a run of ours for what an adapter starts, and closes it."""

    async def open(self, document: Runtime) -> Mapping[str, str]:
        """Return the variables that it gets; raises where it may not start."""
        ...

    async def close(self, document: Runtime, run: str, state: RunState) -> None:
        """Take note of how it ended; said again, that changes nothing."""
        ...


@runtime_checkable
class Launching(Protocol):
    """What an adapter does beside the rest that starts what runs there."""

    def follow(self, launches: Launches) -> None:
        """Have a run opened for each start from now on."""
        ...

    async def start(self) -> None:
        """Start what was stopped; raises `UpstreamFailure` where that is not possible."""
        ...


class Adapter(Protocol):
    """One runtime, spoken to in its own way. `can` lists the verbs that its kind offers."""

    can: frozenset[Verb]

    async def information(self) -> Information:
        """Return its version; raises where it does not answer."""
        ...

    async def discover(self) -> Sequence[Offered]:
        """Return the agents that it has."""
        ...

    async def list_runs(self) -> Listing:
        """Return what runs, waits or is paused there."""
        ...

    async def inspect(self, run: RemoteRun) -> RemoteRun | None:
        """Return how a run stands now; None if the runtime does not know it."""
        ...

    async def waiting(self) -> Sequence[Interrupt]:
        """Return the runs that wait for a person."""
        ...

    async def answer(self, interrupt: Interrupt, reply: Reply) -> AnswerResult:
        """Answer an interrupt if it still waits; never twice."""
        ...

    async def stop(self, run: RemoteRun, *, now: bool) -> Stopping:
        """Stop a run; `now`: without letting its step end."""
        ...

    async def stop_all(self) -> bool:
        """Ask at once for all to be stopped that runs there; return whether that was taken.

        Only of a kind that has one request for all. Each run is read back after it.
        """
        ...

    async def pause(self, run: RemoteRun) -> Stopping:
        """Hold a run where it is; `done` once it is held."""
        ...

    async def resume(self, run: RemoteRun) -> Stopping:
        """Let a paused run go on."""
        ...

    async def close(self) -> None:
        """Let go of what it holds; a supervised process is ended."""
