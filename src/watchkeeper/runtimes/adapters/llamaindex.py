"""LlamaIndex's workflow server (llama-agents-server 0.8): handlers, and the events they emit.

A handler has no metadata: one that was started under the id of a run of ours is that run's. The
server says `running` of a handler that waits for a person too; its events tell the two apart. An
answer is an event for the whole workflow, not for one question: where several questions wait at
once, none is answered from here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from watchkeeper.core.clock import Clock
from watchkeeper.core.ids import is_id
from watchkeeper.registry.runtimes import Runtime
from watchkeeper.runtimes.adapters.bare import Bare
from watchkeeper.runtimes.adapters.llamaindex_events import (
    Told,
    answer_kind,
    take_events,
)
from watchkeeper.runtimes.adapters.reading import (
    at,
    id_in,
    time_in,
    word_in,
)
from watchkeeper.runtimes.adapters.stopping import stop_and_look
from watchkeeper.runtimes.calling import Query, RuntimeCalls, path_of
from watchkeeper.runtimes.model import (
    MOST_RUNS,
    Choice,
    Information,
    Interrupt,
    Listing,
    Offered,
    RemoteRun,
    Reply,
    Stopping,
)
from watchkeeper.tools.upstreams.events import EventSplitter, EventTooLong
from watchkeeper.tools.upstreams.model import UpstreamFailure
from watchkeeper.wire.runtimes import ENDED, AnswerResult, RunState, Verb

STATES: Mapping[str, RunState] = {
    "running": "running",
    "completed": "done",
    "failed": "failed",
    "cancelled": "stopped",
}
QUIET_SECONDS = 0.25
"""A stream that was silent for so long has said what it knows."""
MOST_STREAMS = 100
"""Of handlers whose events are read in one poll; the others are read in the next ones."""
_AT_ONCE = 16
_READ_TWICE = 2
_MOST_ANSWERED = 10_000


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read of a handler's events, and how often since it last changed."""

    run_id: str | None
    updated_at: int | None
    told: Told
    reads: int


class LlamaIndex(Bare):
    """One workflow server."""

    can: frozenset[Verb] = frozenset({"list", "inspect", "stop", "answer"})
    called = "LlamaIndex's workflow server"

    def __init__(
        self, document: Runtime, calls: RuntimeCalls, clock: Clock, directory: Path
    ) -> None:
        super().__init__(document, calls, clock, directory)
        self._known: dict[str, _Known] = {}
        self._answered: dict[str, None] = {}

    async def information(self) -> Information:
        """Return that it answers; it does not tell its version."""
        answer = await self.calls.ask("GET", "/health")
        if answer.status in (401, 403):
            return Information(authorised=False)
        if word_in(answer.value, "status") != "healthy":
            raise UpstreamFailure(f"it answered {answer.status} to GET /health", reached=True)
        return Information()

    async def discover(self) -> Sequence[Offered]:
        """Return its workflows."""
        answer = await self.calls.expect("GET", "/workflows")
        names = at(answer.value, "workflows")
        names = names if isinstance(names, list) else []
        usable = [name for one in names if (name := id_in({"name": one}, "name"))]
        return [Offered(name, name) for name in usable[:MOST_RUNS]]

    async def list_runs(self) -> Listing:
        """Return the handlers that have not ended, and which of them wait."""
        listed = await self._handlers(query={"status": "running"})
        rows = {id: row for row in listed[:MOST_RUNS] if (id := id_in(row, "handler_id"))}
        self._known = {id: known for id, known in self._known.items() if id in rows}
        await self._read_events(rows)
        runs = [self._run(id, row) for id, row in rows.items()]
        return Listing(
            tuple(run for run in runs if run.state not in ENDED),
            complete=len(rows) == len(listed),
        )

    async def inspect(self, run: RemoteRun) -> RemoteRun | None:
        """Return how a handler stands."""
        answer = await self.calls.ask("GET", path_of("handlers", run.id))
        if answer.status == _NOT_FOUND:
            return None
        # of a handler that failed or was cancelled it tells under status 500
        if id_in(answer.value, "handler_id") != run.id:
            raise UpstreamFailure(f"it answered {answer.status} for a handler", reached=True)
        await self._read_events({run.id: answer.value})
        return self._run(run.id, answer.value)

    async def waiting(self) -> Sequence[Interrupt]:
        """Return the questions that one answer each would settle."""
        runs = [run for run in (await self.list_runs()).runs if run.state == "waiting"]
        found = [self._interrupt(run) for run in runs]
        return [one for one in found if one is not None]

    async def answer(self, interrupt: Interrupt, reply: Reply) -> AnswerResult:
        """Send the event that answers a question, if that is still the one that waits."""
        if reply.choice not in interrupt.choices:
            return "not supported"
        if interrupt.id in self._answered:
            return "already answered"
        run = interrupt.run
        kind = await self._answer_kind(run.offered)
        if kind is None:
            return "not supported"
        outstanding = await self._outstanding(run)
        if outstanding is None or outstanding.state in ENDED:
            return "gone"
        now = self._interrupt(outstanding)
        if now is None or now.id != interrupt.id:
            return "already answered"
        event = {"type": kind, "value": _reply_value(reply)}
        answer = await self.calls.ask("POST", path_of("events", run.id), body={"event": event})
        if answer.status in (_NOT_FOUND, _CONFLICT):
            return "gone"
        if not answer.well:
            return "failed"
        while len(self._answered) >= _MOST_ANSWERED:
            del self._answered[next(iter(self._answered))]
        self._answered[interrupt.id] = None
        return "applied"

    async def stop(self, run: RemoteRun, *, now: bool) -> Stopping:
        """Cancel a handler: the server cancels its tasks and waits for them."""

        async def tell() -> bool:
            return (await self.calls.ask("POST", path_of("handlers", run.id, "cancel"))).well

        return await stop_and_look(tell, lambda: self._look(run))

    async def _look(self, run: RemoteRun) -> RemoteRun | None:
        """Return a handler's state without its events; by the list, where it can't be named."""
        answer = await self.calls.ask("GET", path_of("handlers", run.id))
        if id_in(answer.value, "handler_id") == run.id:
            return self._run(run.id, answer.value)
        rows = await self._handlers()
        row = next((one for one in rows if id_in(one, "handler_id") == run.id), None)
        return None if row is None else self._run(run.id, row)

    async def _handlers(self, query: Query | None = None) -> list[Any]:
        """Return the handlers in its list; that it can't be read must not hide that they run."""
        answer = await self.calls.expect("GET", "/handlers", query=query)
        found = at(answer.value, "handlers")
        if not isinstance(found, list):
            raise UpstreamFailure("it lists its handlers in a form that is not known", reached=True)
        return found

    async def _outstanding(self, run: RemoteRun) -> RemoteRun | None:
        """Return a handler with its events read anew."""
        known = self._known.get(run.id)
        if known is not None:
            self._known[run.id] = replace(known, reads=0)
        return await self.inspect(run)

    async def _read_events(self, rows: Mapping[str, Any]) -> None:
        """Read the events of handlers that may have changed, several at once."""
        stale = [id for id, row in rows.items() if self._is_stale(id, row)]
        limit = asyncio.Semaphore(_AT_ONCE)

        async def read(id: str, row: Any) -> None:
            async with limit:
                await self._read(id, row)

        await asyncio.gather(*(read(id, rows[id]) for id in stale[:MOST_STREAMS]))

    def _is_stale(self, id: str, row: Any) -> bool:
        if STATES.get(word_in(row, "status")) != "running":
            return False
        known = self._known.get(id)
        return known is None or known.reads < _READ_TWICE or not _is_same(known, row)

    async def _read(self, id: str, row: Any) -> None:
        """Take what a handler's stream has said since it was last read.

        What can't be read changes nothing: the handler is shown as running, as its server says.
        """
        known = self._known.get(id)
        if known is None or known.run_id != id_in(row, "run_id"):
            known = _Known(None, None, Told(), 0)
        query = {
            "sse": "true",
            "include_internal": "true",
            "include_qualified_name": "false",
            "after_sequence": str(known.told.sequence),
        }
        try:
            said = await self.calls.overhear(
                path_of("events", id), query=query, quiet_seconds=QUIET_SECONDS
            )
            told = take_events(known.told, EventSplitter().feed(said))
        except (UpstreamFailure, EventTooLong):
            return
        reads = known.reads + 1 if _is_same(known, row) else 1
        self._known[id] = _Known(id_in(row, "run_id"), time_in(row, "updated_at"), told, reads)

    def _run(self, id: str, row: Any) -> RemoteRun:
        said = word_in(row, "status")
        state = STATES.get(said, "unknown")
        known = self._known.get(id)
        if state == "running" and known is not None and known.told.idle:
            state, said = "waiting", f"{said}, idle"
        return RemoteRun(
            id=id,
            state=state,
            said=said,
            offered=id_in(row, "workflow_name"),
            our_run=id if id.startswith("run_") and is_id(id) else None,
            started_at=time_in(row, "started_at"),
            updated_at=time_in(row, "updated_at"),
        )

    def _interrupt(self, run: RemoteRun) -> Interrupt | None:
        known = self._known.get(run.id)
        question = known.told.question if known is not None else None
        if known is None or question is None or run.state != "waiting":
            return None
        choices: tuple[Choice, ...] = ("approve", "reject", "respond")
        if question.arguments is None:
            choices = ("reject",)
        return Interrupt(
            run=run,
            id=f"{known.run_id or run.id}:{question.sequence}",
            tool=None,
            arguments=question.arguments or {},
            text=question.text,
            choices=choices,
        )

    async def _answer_kind(self, workflow: str | None) -> str | None:
        if workflow is None:
            return None
        graph = await self.calls.ask("GET", path_of("workflows", workflow, "representation"))
        events = await self.calls.ask("GET", path_of("workflows", workflow, "events"))
        return answer_kind(graph.value, events.value)


_NOT_FOUND, _CONFLICT = 404, 409


def _is_same(known: _Known, row: Any) -> bool:
    return (known.run_id, known.updated_at) == (id_in(row, "run_id"), time_in(row, "updated_at"))


def _reply_value(reply: Reply) -> dict[str, Any]:
    """Return the fields of the answering event; a workflow takes those that it knows."""
    response = reply.message if reply.choice == "respond" else reply.choice
    return {
        "response": response or "",
        "decision": reply.choice,
        "approved": reply.choice == "approve",
        "message": reply.message,
    }
