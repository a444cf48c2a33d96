"""LangGraph's agent server: assistants, threads, and runs within them.

It has no list of all runs: what runs is found by threads, whose state says more than the run's.
A run that waits for a person has ended with `success`, and only its thread is `interrupted`; a
thread whose run was cancelled is too, but with no interrupts in it. Measured on langgraph-api
0.16.7; the wire is LangGraph's own (https://langchain-ai.github.io/langgraph/cloud/reference/api).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
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
    list_in,
    mark_of,
    metadata_of,
    object_in,
    run_path,
    state_of,
    text_in,
    time_of,
)
from watchkeeper.runtimes.calling import RuntimeCalls, path_of
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
_LOOKS = 40
_LOOK_SECONDS = 0.1
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
        self._still: dict[str, tuple[str, list[RemoteRun]]] = {}
        """Threads that wait, with when they came to and what runs there."""
        self._interrupted: list[tuple[Mapping[str, Any], RemoteRun]] = []

    async def information(self) -> Information:
        """Return its version."""
        answer = await self._calls.ask("GET", "/info")
        if answer.status in _UNAUTHORISED:
            return Information(authorised=False)
        if not answer.well:
            raise UpstreamFailure(f"it answered {answer.status} to GET /info", reached=True)
        version = object_in(answer, "itself").get("version")
        return Information(version if isinstance(version, str) else None)

    async def discover(self) -> Sequence[Offered]:
        """Return its assistants; one that stands for a graph is called as the graph."""
        answer = await self._calls.expect("POST", "/assistants/search", body={"limit": _PAGE})
        found = []
        for row in list_in(answer, "its assistants"):
            id, graph = text_in(row, "assistant_id"), text_in(row, "graph_id")
            if graph and id == str(uuid5(_GRAPHS, graph)):
                self._graphs[id] = graph
            if id:
                found.append(Offered(self._graphs.get(id, id), text_in(row, "name") or graph or id))
        return found

    async def list_runs(self) -> Listing:
        """Return what runs in busy threads, and what waits or is held in interrupted ones."""
        busy, whole = await self._threads("busy")
        interrupted, all_of_them = await self._threads("interrupted")
        found: list[RemoteRun] = []
        gate = asyncio.Semaphore(_AT_ONCE)

        async def of_thread(thread: Mapping[str, Any]) -> list[RemoteRun]:
            async with gate:
                return await self._runs_of(thread)

        for runs in await asyncio.gather(*(of_thread(one) for one in (*busy, *interrupted))):
            found += [run for run in runs if run.state not in ENDED]
        names = {text_in(one, "thread_id") for one in interrupted}
        self._still = {name: kept for name, kept in self._still.items() if name in names}
        self._interrupted = [
            (thread, run)
            for thread in interrupted
            for run in found
            if run.thread == text_in(thread, "thread_id") and run.state == "waiting"
        ]
        return Listing(tuple(found[:MOST_RUNS]), whole and all_of_them and len(found) <= MOST_RUNS)

    async def inspect(self, run: RemoteRun) -> RemoteRun | None:
        """Return how a run stands now; None if its thread, or it, is gone."""
        thread = await self._thread(run.thread)
        if thread is None:
            return None
        answer = await self._calls.ask("GET", run_path(run))
        if answer.status in _GONE:
            return None
        check(answer, "GET", "a run")
        found = newest = object_in(answer, "a run")
        if thread.get("status") == "interrupted":
            latest = await self._newest(thread, 1)
            newest = latest[0] if latest else newest
        return self._read(found, thread, newest=text_in(newest, "run_id") == run.id)

    async def waiting(self) -> Sequence[Interrupt]:
        """Return what the threads wait for that were last listed."""
        return [
            found
            for thread, run in self._interrupted
            for _, asked in interrupts_of(thread)
            if (found := questions.read(run, asked)) is not None
        ]

    async def answer(self, interrupt: Interrupt, reply: Reply) -> AnswerResult:
        """Start the run that answers an interrupt, if nothing ran in its thread since it asked.

        It names what it answers, so that an answer nobody heard of is found instead of given
        twice. The interrupt's id alone would not do: a step may ask under one more than once.
        """
        thread = await self._thread(interrupt.run.thread)
        if thread is None:
            return "gone"
        runs = await self._newest(thread, _RUNS_OF_THREAD)
        if (before := _answered(runs, interrupt, reply)) is not None:
            return before
        pending = {text_in(asked, "id") for _, asked in interrupts_of(thread)}
        asks_still = thread.get("status") == "interrupted" and interrupt.id in pending
        if not asks_still or not runs or text_in(runs[0], "run_id") != interrupt.run.id:
            return "already answered"
        value = questions.write(interrupt, reply)
        if value is questions.CANNOT:
            return "not supported"
        body: dict[str, Any] = {
            "assistant_id": text_in(runs[0], "assistant_id"),
            "command": {"resume": {interrupt.id: value}},
            "multitask_strategy": "reject",
            "metadata": metadata_of(interrupt.run)
            | {ANSWERS: f"{reply.choice} {_named(interrupt)}"},
        }
        path = path_of("threads", interrupt.run.thread or "", "runs")
        answer = await self._calls.ask("POST", path, body=body)
        if answer.well:
            return "applied"
        if answer.status == _CONFLICT:
            runs = await self._newest(thread, _RUNS_OF_THREAD)
            return _answered(runs, interrupt, reply) or "already answered"
        return "gone" if answer.status == 404 else "failed"

    async def stop(self, run: RemoteRun, *, now: bool) -> Stopping:
        """Cancel a run, or end what waits in its thread; say what is so afterwards.

        The server lets no step end: `now` makes no difference.
        """
        return await self._end(run, pausing=False)

    async def stop_all(self) -> Stopping:
        """Cancel every run; what waits for a person is ended one by one."""
        answer = await self._calls.ask(
            "POST", "/runs/cancel", query={"action": "interrupt"}, body={"status": "all"}
        )
        if not answer.well and answer.status not in _GONE:
            return Stopping("unconfirmed", f"it answered {answer.status}")
        left: tuple[RemoteRun, ...] = ()
        for _ in range(_LOOKS):
            listing = await self.list_runs()
            left = tuple(run for run in listing.runs if run.state != "paused")
            for run in (one for one in left if one.state == "waiting"):
                await self._end_waiting(run)
            if not left:
                return Stopping("done", "nothing runs or waits there any more", "stopped")
            await asyncio.sleep(_LOOK_SECONDS)
        return Stopping("unconfirmed", f"{len(left)} still run there", "running")

    async def pause(self, run: RemoteRun) -> Stopping:
        """Interrupt a run and mark its thread; it is kept at its last checkpoint."""
        seen = await self.inspect(run)
        if seen is None or seen.state in ENDED:
            return Stopping("already done", "it has ended", seen.state if seen else "unknown")
        if seen.state == "paused":
            return Stopping("already done", "it is paused", "paused")
        if seen.state == "waiting":
            return Stopping("not supported", "it waits for a person, and so is held", "waiting")
        return await self._end(run, pausing=True)

    async def resume(self, run: RemoteRun) -> Stopping:
        """Go on from the last checkpoint: the step that was cut begins anew, in another run."""
        thread = await self._thread(run.thread)
        if thread is None:
            return Stopping("already done", "its thread is gone", "unknown")
        if mark_of(thread) != run.id or thread.get("status") != "interrupted":
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

    async def _threads(self, status: str) -> tuple[list[dict[str, Any]], bool]:
        body = {"status": status, "limit": _PAGE, "select": list(_THREAD_FIELDS)}
        answer = await self._calls.expect("POST", "/threads/search", body=body)
        rows = list_in(answer, "its threads")
        return rows, len(rows) < _PAGE

    async def _thread(self, thread: str | None) -> dict[str, Any] | None:
        if not thread:
            return None
        answer = await self._calls.ask("GET", path_of("threads", thread))
        if answer.status in _GONE:
            return None
        check(answer, "GET", "a thread")
        return object_in(answer, "a thread")

    async def _newest(self, thread: Mapping[str, Any], limit: int) -> list[dict[str, Any]]:
        query = {"limit": str(limit), "select": _RUN_FIELDS}
        path = path_of("threads", text_in(thread, "thread_id"), "runs")
        answer = await self._calls.ask("GET", path, query=query)
        if answer.status in _GONE:
            return []
        check(answer, "GET", "the runs of a thread")
        return list_in(answer, "the runs of a thread")

    async def _runs_of(self, thread: Mapping[str, Any]) -> list[RemoteRun]:
        name, at = text_in(thread, "thread_id"), text_in(thread, "updated_at")
        waits = thread.get("status") == "interrupted"
        kept = self._still.get(name)
        if waits and kept is not None and kept[0] == at:
            return kept[1]
        rows = await self._newest(thread, 1 if waits else _RUNS_OF_THREAD)
        found = [self._read(row, thread, newest=row is rows[0]) for row in rows]
        if waits:
            self._still[name] = (at, found)
        return found

    def _read(
        self, row: Mapping[str, Any], thread: Mapping[str, Any], *, newest: bool
    ) -> RemoteRun:
        metadata = row.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        assistant = text_in(row, "assistant_id")
        status = text_in(row, "status")
        ours = metadata.get(OUR_RUN)
        return RemoteRun(
            id=text_in(row, "run_id"),
            state=state_of(status, thread, text_in(row, "run_id"), newest=newest),
            said=f"run {status}, thread {text_in(thread, 'status')}",
            thread=text_in(thread, "thread_id"),
            offered=self._graphs.get(assistant, assistant) or None,
            our_run=ours if isinstance(ours, str) else None,
            started_at=time_of(row.get("created_at")),
            updated_at=time_of(row.get("updated_at")),
            metadata=metadata,
        )

    async def _end(self, run: RemoteRun, *, pausing: bool) -> Stopping:
        query = {"action": "interrupt", "wait": "false"}
        answer = await self._calls.ask("POST", run_path(run) + "/cancel", query=query)
        if not answer.well and answer.status not in _GONE:
            return Stopping("unconfirmed", f"it answered {answer.status}")
        cancelled = answer.well
        for _ in range(_LOOKS):
            thread = await self._thread(run.thread)
            seen = await self.inspect(run)
            if seen is None or thread is None:
                return Stopping("already done", "the server does not know it any more", "unknown")
            if seen.state not in {"pending", "running"} and thread.get("status") != "busy":
                break
            if seen.state not in {"pending", "running"} and not pausing:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        else:
            return Stopping("unconfirmed", "it was told to stop, and runs still", "running")
        if pausing:
            if not cancelled:
                return Stopping("already done", "it has ended", seen.state)
            await self._set_mark(run, run.id)
            return Stopping("done", "held at its last checkpoint", "paused")
        if seen.state in {"waiting", "paused"}:
            return await self._end_waiting(run)
        if cancelled:
            return Stopping("done", "its step was cut", "stopped")
        return Stopping("already done", f"it has ended: {seen.state}", seen.state)

    async def _end_waiting(self, run: RemoteRun) -> Stopping:
        """End what is left to do in a thread, as if its graph had come to its end."""
        path = path_of("threads", run.thread or "", "state")
        answer = await self._calls.ask("POST", path, body={"values": None, "as_node": "__end__"})
        thread = await self._thread(run.thread)
        if thread is not None and thread.get("status") == "interrupted":
            return Stopping("unconfirmed", f"it answered {answer.status}, and waits still")
        await self._set_mark(run, "")
        return Stopping("done", "what was left to do in its thread was ended", "stopped")

    async def _set_mark(self, run: RemoteRun, mark: str) -> None:
        body = {"metadata": {PAUSED: mark}}
        await self._calls.ask("PATCH", path_of("threads", run.thread or ""), body=body)

    async def _assistant_of(self, run: RemoteRun) -> str:
        answer = await self._calls.expect("GET", run_path(run))
        return text_in(object_in(answer, "a run"), "assistant_id")


def _named(interrupt: Interrupt) -> str:
    """Return what names a question for good: who asks, and by which id."""
    return f"{interrupt.run.id}/{interrupt.id}"


def _answered(
    runs: Sequence[Mapping[str, Any]], interrupt: Interrupt, reply: Reply
) -> AnswerResult | None:
    """Say whether one of a thread's runs was started here to answer an interrupt, and so."""
    for run in runs:
        metadata = run.get("metadata")
        said = text_in(metadata, ANSWERS) if isinstance(metadata, dict) else ""
        choice, _, named = said.partition(" ")
        if named == _named(interrupt):
            return "applied" if choice == reply.choice else "already answered"
    return None
