"""Runtimes that lie, hang and overwhelm: adapters report failures, and do nothing else about it."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests.runtimes.crooked.server import DEEP, HOSTILE_IDS, HOSTILE_TEXT, crooked
from tests.runtimes.ground import speaking_to
from watchkeeper.core.errors import Unavailable
from watchkeeper.runtimes.model import MOST_RUNS, Adapter, Interrupt, RemoteRun, Reply
from watchkeeper.tools.upstreams.model import UpstreamFailure

DESCRIBED = {
    "runs": {
        "request": {"method": "GET", "path": "/runs"},
        "rows": "tasks",
        "agent": "name",
        "started": "timestamp",
        "run": "metadata.run",
        "states": {"running": "running", "completed": "done"},
    },
    "stop": {"path": "/runs/{run}/stop", "body": {"run": "{run}"}},
    "pause": {"path": "/runs/{run}/pause"},
    "resume": {"path": "/runs/{run}/resume"},
}
KINDS: dict[str, dict[str, Any]] = {
    "a2a": {},
    "adk": {"agents": [{"id": "a-1/ada", "agent": "clerk"}]},
    "http": {"http": DESCRIBED},
    "llamaindex": {},
    "langgraph": {},
}
RUN = RemoteRun("r-1", "waiting", thread="t-1", offered="a-1/ada")
READ = (
    "action", "agent", "args", "assistant_id", "author", "content", "contextId", "created_at",
    "data", "event_types", "events", "functionCall", "graph", "graph_id", "handler_id",
    "handlers", "hint", "history", "id", "interrupts", "lastUpdateTime", "longRunningToolIds",
    "message", "messageId", "metadata", "name", "nextPageToken", "nodes", "originalFunctionCall",
    "parts", "protocolBinding", "protocolVersion", "result", "run_id", "started_at", "state",
    "status", "supportedInterfaces", "task", "tasks", "text", "thread_id", "timestamp", "title",
    "toolConfirmation", "type", "types", "updated_at", "url", "value", "values", "version",
    "watchkeeper_run_id", "workflow_name", "workflows",
)  # fmt: skip
"""What adapters look for in answers."""
WORDS = (
    "running", "completed", "TASK_STATE_WORKING", "input-required", "interrupted", "busy",
    "healthy", "JSONRPC", "1.0", "http://elsewhere.example/../x", HOSTILE_TEXT, *HOSTILE_IDS,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchkeeper.runtimes.adapters.llamaindex.QUIET_SECONDS", 0.01)
    monkeypatch.setattr("watchkeeper.runtimes.adapters.stopping.LOOK_SECONDS", 0.02)


def answers() -> st.SearchStrategy[Any]:
    leaves = st.one_of(
        st.sampled_from(WORDS), st.none(), st.booleans(), st.text(max_size=20),
        st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False),
    )  # fmt: skip
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(READ), inner, max_size=8)
        ),
        max_leaves=40,
    )


async def everything(adapter: Adapter) -> None:
    """Use every verb; whatever is answered, only a failure may come of it."""
    runs: list[RemoteRun] = [RUN]
    interrupts = [Interrupt(RUN, "i-1", None, {}, "?", ("approve", "reject", "respond"))]
    for verb in ("information", "discover", "list_runs", "waiting"):
        found = await tried(getattr(adapter, verb)())
        if verb == "list_runs" and found is not None:
            assert len(found.runs) <= MOST_RUNS
            runs += found.runs[:2]
        elif verb == "waiting" and found is not None:
            interrupts += found[:2]
    for run in runs:
        assert_bounded(run)
        await tried(adapter.inspect(run))
        stopped = await tried(adapter.stop(run, now=True))
        assert stopped is None or len(stopped.detail) < 1_000
        await tried(adapter.pause(run))
        await tried(adapter.resume(run))
    for interrupt in interrupts:
        assert len(interrupt.text) < 20_000
        await tried(adapter.answer(interrupt, Reply("respond", message="yes")))
        await tried(adapter.answer(interrupt, Reply("reject", message="no")))
    await tried(adapter.stop_all())


async def tried(work: Any) -> Any:
    try:
        return await work
    except (UpstreamFailure, Unavailable):
        return None


def assert_bounded(run: RemoteRun) -> None:
    assert 0 < len(run.id) <= 200
    assert run.id.isprintable()
    assert len(run.said) <= 500
    for time in (run.started_at, run.updated_at):
        assert time is None or 0 <= time < 2**53


@pytest.mark.parametrize("kind", KINDS)
@given(value=answers())
def test_no_answer_makes_an_adapter_raise_anything_but_a_failure(kind: str, value: Any) -> None:
    async def talk() -> None:
        async with (
            crooked(lambda _request: value) as server,
            speaking_to(
                server.url, kind, Path("unused"), timeout_seconds=0.5, **KINDS[kind]
            ) as adapter,
        ):
            await everything(adapter)

    asyncio.run(talk())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "answer",
    ["hang", "cut", b"", DEEP, b"\xff\xfe{", b'{"tasks": ' + DEEP + b"}", 204, 302, 401, 500],
    ids=["hang", "cut", "empty", "deep", "bytes", "deep list", "204", "302", "401", "500"],
)
async def test_what_is_no_answer_is_a_failure(kind: str, answer: Any, tmp_path: Path) -> None:
    async with (
        crooked(lambda _request: answer) as server,
        speaking_to(server.url, kind, tmp_path, timeout_seconds=0.1, **KINDS[kind]) as adapter,
    ):
        with pytest.raises((UpstreamFailure, Unavailable)):
            await adapter.list_runs()
        await everything(adapter)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_without_end_is_given_up(kind: str, tmp_path: Path) -> None:
    async with (
        crooked(lambda _request: b'"' + b"A" * (17 * 1024 * 1024) + b'"') as server,
        speaking_to(server.url, kind, tmp_path, **KINDS[kind]) as adapter,
    ):
        with pytest.raises(UpstreamFailure, match="too large"):
            await adapter.list_runs()


def listing(kind: str, ids: Any) -> Any:
    """What lists runs of these ids, in the shape of a kind."""
    rows = [{"id": id, "handler_id": id, "status": "running"} for id in ids]
    if kind == "a2a":
        tasks = [{**row, "status": {"state": "TASK_STATE_WORKING"}} for row in rows]
        return {"result": {"tasks": tasks}, "name": "x"}
    return {"handlers": rows, "tasks": rows}


@pytest.mark.parametrize("kind", ["a2a", "http", "llamaindex"])
async def test_many_runs_are_cut_and_the_list_is_not_called_whole(
    kind: str, tmp_path: Path
) -> None:
    value = listing(kind, range(MOST_RUNS + 500))
    async with (
        crooked(lambda _request: value) as server,
        speaking_to(server.url, kind, tmp_path, **KINDS[kind]) as adapter,
    ):
        found = await adapter.list_runs()
        assert (len(found.runs), found.complete) == (MOST_RUNS, False)


@pytest.mark.parametrize("kind", ["a2a", "http", "llamaindex"])
async def test_no_id_leads_a_request_elsewhere(kind: str, tmp_path: Path) -> None:
    async with (
        crooked(lambda _request: listing(kind, [*HOSTILE_IDS, "plain"])) as server,
        speaking_to(server.url, kind, tmp_path, **KINDS[kind]) as adapter,
    ):
        found = await adapter.list_runs()
        assert not found.complete
        assert {"plain", "a/../b"} <= {run.id for run in found.runs}
        for run in found.runs:
            assert_bounded(run)
            await tried(adapter.stop(run, now=True))
        for path in server.paths:
            assert ".." not in path.split("?")[0].split("/"), path
            assert re.fullmatch(
                r"/(\.well-known/agent(-card)?\.json|workflows|runs|handlers|events/[^/]*"
                r"|(runs|handlers)/[^/]*(/stop|/cancel)?)?",
                path.split("?")[0],
            ), path


@pytest.mark.parametrize("kind", ["a2a", "http", "llamaindex"])
async def test_a_stop_that_is_only_said_is_unconfirmed(kind: str, tmp_path: Path) -> None:
    def answer(request: web.Request) -> Any:
        one: dict[str, Any] = {"id": "r-1", "handler_id": "r-1", "status": "running"}
        if kind == "a2a":
            one = {"id": "r-1", "status": {"state": "TASK_STATE_WORKING"}}
            return {"name": "x", "result": {**one, "tasks": [one]}}
        return {**one, "handlers": [one], "tasks": [one]}

    async with (
        crooked(answer) as server,
        speaking_to(server.url, kind, tmp_path, **KINDS[kind]) as adapter,
    ):
        stopped = await adapter.stop(RUN, now=True)
        assert (stopped.result, stopped.state) == ("unconfirmed", "running"), stopped


async def test_a_state_that_is_not_known_is_no_end(tmp_path: Path) -> None:
    def answer(request: web.Request) -> Any:
        if request.method == "POST":
            return {}
        return {"thread_id": "t-1", "run_id": "r-1", "status": "dreaming"}

    async with (
        crooked(answer) as server,
        speaking_to(server.url, "langgraph", tmp_path) as adapter,
    ):
        stopped = await adapter.stop(RUN, now=True)
        assert (stopped.result, stopped.state) == ("unconfirmed", "unknown"), stopped


async def test_a_list_that_cannot_be_read_hides_no_handler(tmp_path: Path) -> None:
    def answer(request: web.Request) -> Any:
        if request.method == "POST":
            return {}
        return {"handlers": {"r-1": "running"}} if request.path == "/handlers" else 404

    async with (
        crooked(answer) as server,
        speaking_to(server.url, "llamaindex", tmp_path) as adapter,
    ):
        stopped = await adapter.stop(RUN, now=True)
        assert stopped.result == "unconfirmed", stopped


LARGE = "A" * 50_000


def langgraph(request: web.Request) -> Any:
    if request.path == "/threads/search":
        busy = {"thread_id": "t-1", "metadata": {"more": LARGE}, "status": "interrupted"}
        return [busy | {"interrupts": {"t": [{"id": "i-1", "value": "?"}]}, "values": LARGE}]
    run = {"run_id": "r-1", "status": "success", "assistant_id": LARGE}
    return [run | {"metadata": {"more": LARGE}}] * 20


def llamaindex(request: web.Request) -> Any:
    if request.path == "/handlers":
        return {"handlers": [{"handler_id": "r-1", "status": "running", "run_id": "r"}]}
    asked = {"type": "Ask", "types": ["InputRequiredEvent"], "value": {"prefix": "?", "x": LARGE}}
    said = (asked, asked, {"type": "WorkflowIdleEvent"})
    sent = [f"id: {n}\ndata: {json.dumps(one)}\n\n" for n, one in enumerate(said)]
    return "".join(sent).encode()


@pytest.mark.parametrize(("kind", "answer"), [("langgraph", langgraph), ("llamaindex", llamaindex)])
async def test_little_is_held_of_what_waits_between_two_polls(
    kind: str, answer: Any, tmp_path: Path
) -> None:
    async with (
        crooked(answer) as server,
        speaking_to(server.url, kind, tmp_path) as adapter,
    ):
        (run,) = {run.id: run for run in (await adapter.list_runs()).runs}.values()
        assert (run.id, run.state) == ("r-1", "waiting")
        assert len(repr(vars(adapter))) < 5_000
