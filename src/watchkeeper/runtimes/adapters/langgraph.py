"""LangGraph's agent server: assistants, threads, and runs within them.

It has no list of all runs: what runs is found by threads, whose state says more than the run's.
A run that waits for a person has ended with `success`, and only its thread is `interrupted`; a
thread whose run was cancelled is too, but with no interrupts in it. Measured on langgraph-api
0.16.7; the wire is LangGraph's own (https://langchain-ai.github.io/langgraph/cloud/reference/api).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from watchkeeper.core.clock import Clock
from watchkeeper.registry.runtimes import Runtime
from watchkeeper.runtimes.adapters import langgraph_questions as questions
from watchkeeper.runtimes.adapters.langgraph_wire import (
    PAUSED,
    check,
    interrupts_of,
    is_interrupted,
    listed,
    mark_of,
    metadata_of,
    one_of,
    run_path,
    state_of,
)
from watchkeeper.runtimes.adapters.reading import id_in, object_in, time_in, word_in
from watchkeeper.runtimes.adapters.stopping import (
    hold_and_look,
    look_until,
    stop_and_look,
)
from watchkeeper.runtimes.calling import Answered, RuntimeCalls, path_of
from watchkeeper.runtimes.model import (
    MOST_RUNS,
    OUR_RUN,
    Information,
    Interrupt,
    Listing,
    Offered,
    RemoteRun,
    Reply,
    Stopping,
)
from watchkeeper.tools.upstreams.model import UpstreamFailure
from watchkeeper.wire.runtimes import ENDED, AnswerResult, Verb

ANSWERS = "watchkeeper_answers"
"""The key of a run's metadata that names what it was started to answer."""
_GRAPHS = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")
"""The namespace of the ids of the assistants that stand for graphs."""
_PAGE = 1000
_RUNS_OF_THREAD = 50
_AT_ONCE = 16
_GONE = frozenset({404, 410, 422})
_CONFLICT = 409
_UNAUTHORISED = frozenset({401, 403})
_RUN_FIELDS = ("run_id", "status", "assistant_id", "metadata", "created_at", "updated_at")
_THREAD_FIELDS = ("thread_id", "status", "metadata", "interrupts", "updated_at")


class LangGraph:
    """One agent server."""

    can: frozenset[Verb] = frozenset(
        {"list", "inspect", "stop", "stop all", "pause", "resume", "answer"}
    )

    def __init__(
        self, document: Runtime, calls: RuntimeCalls, clock: Clock, directory: Path
    ) -> None:
        self._calls = calls
        # the graphs that documents name, by the id of the assistant that stands for each: an
        # assistant that somebody makes may have any name, but never this id
        self._graphs = {str(uuid5(_GRAPHS, one.id)): one.id for one in document.agents}
        self._still: dict[str, tuple[str, RemoteRun]] = {}
        """The last run of each thread that waits, with when it came to."""
        self._waiting: tuple[Interrupt, ...] = ()

    async def information(self) -> Information:
        """Return its version."""
        answer = await self._calls.ask("GET", "/info")
        if answer.status in _UNAUTHORISED:
            return Information(authorised=False)
        if not answer.well:
            raise UpstreamFailure(f"it answered {answer.status} to GET /info", reached=True)
        return Information(word_in(one_of(answer, "itself"), "version") or None)

    async def discover(self) -> Sequence[Offered]:
        """Return its assistants; one that stands for a graph is called as the graph."""
        answer = await self._calls.expect("POST", "/assistants/search", body={"limit": _PAGE})
        found = []
        for row in listed(answer, "its assistants")[:_PAGE]:
            id, graph = id_in(row, "assistant_id"), id_in(row, "graph_id")
            if id and graph and id == str(uuid5(_GRAPHS, graph)):
                self._graphs[id] = graph
            if id:
                found.append(Offered(self._graphs.get(id, id), word_in(row, "name") or graph or id))
        return found

    async def list_runs(self) -> Listing:
        """Return what runs in busy threads, and what waits or is held in interrupted ones."""
        busy, whole = await self._threads("busy")
        interrupted, all_of_them = await self._threads("interrupted")
        gate = asyncio.Semaphore(_AT_ONCE)

        async def of_thread(name: str, thread: Mapping[str, Any]) -> tuple[list[RemoteRun], bool]:
            async with gate:
                return await self._runs_of(name, thread)

        told = await asyncio.gather(
            *(of_thread(*one) for one in (*busy.items(), *interrupted.items()))
        )
        found = [run for runs, _ in told for run in runs if run.state not in ENDED]
        complete = whole and all_of_them and all(every for _, every in told)
        self._still = {name: kept for name, kept in self._still.items() if name in interrupted}
        asked = [
            question
            for run in found
            if run.state == "waiting"
            for one in interrupts_of(interrupted.get(run.thread or "", {})).values()
            if (question := questions.read(run, one)) is not None
        ]
        self._waiting = tuple(asked[:MOST_RUNS])
        return Listing(tuple(found[:MOST_RUNS]), complete and len(found) <= MOST_RUNS)

    async def inspect(self, run: RemoteRun) -> RemoteRun | None:
        """Return how a run stands now; None if its thread, or it, is gone."""
        thread = await self._thread(run.thread)
        if thread is None:
            return None
        answer = await self._calls.ask("GET", run_path(run))
        if answer.status in _GONE:
            return None
        check(answer, "GET", "a run")
        found = newest = one_of(answer, "a run")
        if id_in(found, "run_id") != run.id:
            raise UpstreamFailure("it tells of another run than it was asked for", reached=True)
        if is_interrupted(thread):
            latest = await self._newest(run.thread or "", 1)
            newest = latest[0] if latest else newest
        return self._read(found, run.thread, thread, newest=id_in(newest, "run_id") == run.id)

    async def waiting(self) -> Sequence[Interrupt]:
        """Return what the threads wait for that were last listed."""
        return self._waiting

    async def answer(self, interrupt: Interrupt, reply: Reply) -> AnswerResult:
        """Start the run that answers an interrupt, if nothing ran in its thread since it asked.

        It names what it answers, so that an answer nobody heard of is found instead of given
        twice. The interrupt's id alone would not do: a step may ask under one more than once.
        """
        thread = await self._thread(interrupt.run.thread)
        if thread is None:
            return "gone"
        name = interrupt.run.thread or ""
        runs = await self._newest(name, _RUNS_OF_THREAD)
        if (before := _answered(runs, interrupt, reply)) is not None:
            return before
        asks_still = is_interrupted(thread) and interrupt.id in interrupts_of(thread)
        if not asks_still or not runs or id_in(runs[0], "run_id") != interrupt.run.id:
            return "already answered"
        value = questions.write(interrupt, reply)
        if value is questions.CANNOT:
            return "not supported"
        body: dict[str, Any] = {
            "assistant_id": id_in(runs[0], "assistant_id"),
            "command": {"resume": {interrupt.id: value}},
            "multitask_strategy": "reject",
            "metadata": metadata_of(interrupt.run)
            | {ANSWERS: f"{reply.choice} {_named(interrupt)}"},
        }
        path = path_of("threads", name, "runs")
        answer = await self._calls.ask("POST", path, body=body)
        if answer.well:
            return "applied"
        if answer.status == _CONFLICT:
            runs = await self._newest(name, _RUNS_OF_THREAD)
            return _answered(runs, interrupt, reply) or "already answered"
        return "gone" if answer.status == 404 else "failed"

    async def stop(self, run: RemoteRun, *, now: bool) -> Stopping:
        """Cancel a run, or end what waits in its thread; say what is so afterwards.

        The server lets no step end: `now` makes no difference.
        """
        ended = False

        async def look() -> RemoteRun | None:
            nonlocal ended
            seen = await self.inspect(run)
            if seen is not None and seen.state in {"waiting", "paused"}:
                # the server does not cancel what only waits
                ended = await self._end_waiting(run) or ended
                seen = await self.inspect(run)
            if ended and seen is not None and seen.state in ENDED:
                return replace(seen, state="stopped", said="what was left to do was ended")
            return seen

        async def tell() -> bool:
            answer = await self._cancel(run)
            if answer.status in _GONE:
                await look()
            return answer.well or ended

        return await stop_and_look(tell, look)

    async def stop_all(self) -> bool:
        """Cancel every run; what waits for a person does so still."""
        path, query = "/runs/cancel", {"action": "interrupt"}
        answer = await self._calls.ask("POST", path, query=query, body={"status": "all"})
        return answer.well

    async def pause(self, run: RemoteRun) -> Stopping:
        """Interrupt a run and mark its thread; it is kept at its last checkpoint."""
        seen = await self.inspect(run)
        if seen is None or seen.state in ENDED:
            return Stopping("already done", "it has ended", seen.state if seen else "unknown")
        if seen.state == "paused":
            return Stopping("already done", "it is paused", "paused")
        if seen.state == "waiting":
            return Stopping("not supported", "it waits for a person, and so is held", "waiting")

        async def is_let_go() -> RemoteRun | None:
            thread = await self._thread(run.thread)
            busy = thread is not None and word_in(thread, "status") == "busy"
            return replace(run, state="running") if busy else await self.inspect(run)

        async def tell() -> bool:
            if not (await self._cancel(run)).well:
                return False
            seen = await look_until(is_let_go, _has_let_go)
            if seen is None or seen.state != "stopped":
                return False
            await self._set_mark(run, run.id)
            return True

        return await hold_and_look(tell, lambda: self.inspect(run), paused=True)

    async def resume(self, run: RemoteRun) -> Stopping:
        """Go on from the last checkpoint: the step that was cut begins anew, in another run."""
        thread = await self._thread(run.thread)
        if thread is None:
            return Stopping("already done", "its thread is gone", "unknown")
        if mark_of(thread) != run.id or not is_interrupted(thread):
            return Stopping("already done", "it is not paused", "unknown")
        body = {
            "assistant_id": await self._assistant_of(run),
            "input": None,
            "multitask_strategy": "reject",
            "metadata": metadata_of(run) | {PAUSED: ""},
        }
        path = path_of("threads", run.thread or "", "runs")
        answer = await self._calls.ask("POST", path, body=body)
        if answer.status == _CONFLICT:
            return Stopping("already done", "something runs in its thread", "running")
        check(answer, "POST", "a run")
        await self._set_mark(run, "")
        return Stopping("done", "it goes on in a run of its own", "done")

    async def close(self) -> None:
        """Nothing is held."""

    async def _threads(self, status: str) -> tuple[dict[str, dict[str, Any]], bool]:
        """Return the threads in a state that can be named, by name, and whether those are all."""
        body = {"status": status, "limit": _PAGE, "select": list(_THREAD_FIELDS)}
        answer = await self._calls.expect("POST", "/threads/search", body=body)
        rows = listed(answer, "its threads")
        found = {name: row for row in rows[:_PAGE] if (name := id_in(row, "thread_id"))}
        return found, len(found) == len(rows) < _PAGE

    async def _thread(self, thread: str | None) -> dict[str, Any] | None:
        if not thread:
            return None
        answer = await self._calls.ask("GET", path_of("threads", thread))
        if answer.status in _GONE:
            return None
        check(answer, "GET", "a thread")
        return one_of(answer, "a thread")

    async def _newest(self, thread: str, limit: int) -> list[dict[str, Any]]:
        query = {"limit": str(limit), "select": _RUN_FIELDS}
        answer = await self._calls.ask("GET", path_of("threads", thread, "runs"), query=query)
        if answer.status in _GONE:
            return []
        check(answer, "GET", "the runs of a thread")
        return listed(answer, "the runs of a thread")[:limit]

    async def _runs_of(self, name: str, thread: Mapping[str, Any]) -> tuple[list[RemoteRun], bool]:
        """Return the runs of a thread that can be named, and whether those are all."""
        at, waits = word_in(thread, "updated_at"), is_interrupted(thread)
        kept = self._still.get(name)
        if waits and kept is not None and kept[0] == at:
            return [kept[1]], True
        rows = await self._newest(name, 1 if waits else _RUNS_OF_THREAD)
        read = [self._read(row, name, thread, newest=row is rows[0]) for row in rows]
        found = [run for run in read if run is not None]
        if waits and found:
            self._still[name] = (at, found[0])
        return found, len(found) == len(read)

    def _read(
        self, row: Mapping[str, Any], name: str | None, thread: Mapping[str, Any], *, newest: bool
    ) -> RemoteRun | None:
        """Return a run of a thread; None for one that can't be named."""
        id, assistant = id_in(row, "run_id"), id_in(row, "assistant_id")
        if id is None:
            return None
        status = word_in(row, "status")
        return RemoteRun(
            id=id,
            state=state_of(status, thread, id, newest=newest),
            said=f"run {status}, thread {word_in(thread, 'status')}",
            thread=name,
            offered=self._graphs.get(assistant, assistant) if assistant else None,
            our_run=id_in(row, f"metadata.{OUR_RUN}"),
            started_at=time_in(row, "created_at"),
            updated_at=time_in(row, "updated_at"),
        )

    async def _cancel(self, run: RemoteRun) -> Answered:
        query = {"action": "interrupt", "wait": "false"}
        return await self._calls.ask("POST", run_path(run) + "/cancel", query=query)

    async def _end_waiting(self, run: RemoteRun) -> bool:
        """End what is left to do in a thread, as if its graph had come to its end."""
        path = path_of("threads", run.thread or "", "state")
        answer = await self._calls.ask("POST", path, body={"values": None, "as_node": "__end__"})
        if answer.well:
            await self._set_mark(run, "")
        return answer.well

    async def _set_mark(self, run: RemoteRun, mark: str) -> None:
        body = {"metadata": {PAUSED: mark}}
        await self._calls.ask("PATCH", path_of("threads", run.thread or ""), body=body)

    async def _assistant_of(self, run: RemoteRun) -> str:
        answer = await self._calls.expect("GET", run_path(run))
        return id_in(one_of(answer, "a run"), "assistant_id") or ""


def _has_let_go(run: RemoteRun | None) -> bool:
    return run is None or run.state not in {"pending", "running", "unknown"}


def _named(interrupt: Interrupt) -> str:
    """Return what names a question for good: who asks, and by which id."""
    return f"{interrupt.run.id}/{interrupt.id}"


def _answered(
    runs: Sequence[Mapping[str, Any]], interrupt: Interrupt, reply: Reply
) -> AnswerResult | None:
    """Say whether one of a thread's runs was started here to answer an interrupt, and so."""
    for run in runs:
        choice, _, named = str(object_in(run, "metadata").get(ANSWERS)).partition(" ")
        if named == _named(interrupt):
            return "applied" if choice == reply.choice else "already answered"
    return None
