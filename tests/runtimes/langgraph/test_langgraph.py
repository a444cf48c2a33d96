"""LangGraph's agent server: what it is told, and what is read back of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from tests.rig.deadline import eventually_async
from tests.runtimes.ground import Server, speaking_to, stop_what_runs
from watchkeeper.runtimes.model import OUR_RUN, Adapter, Interrupt, RemoteRun, Reply

pytestmark = pytest.mark.runtimes
AGENTS = [{"id": "refund", "agent": "clerk"}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server("langgraph", tmp_path_factory.mktemp("langgraph"))
    yield running
    running.stop()


@pytest.fixture
async def adapter(server: Server, tmp_path: Any) -> AsyncIterator[Adapter]:
    async with speaking_to(server.url, "langgraph", tmp_path, agents=AGENTS) as one:
        yield one


def start(server: Server, mode: str, ours: str | None = None) -> str:
    """Start a run in a thread of its own and return its id."""
    thread = server.ask("POST", "/threads", {})["thread_id"]
    body: dict[str, Any] = {"assistant_id": "refund", "input": {"mode": mode}}
    if ours is not None:
        body["metadata"] = {OUR_RUN: ours}
    run: str = server.ask("POST", f"/threads/{thread}/runs", body)["run_id"]
    return run


async def seen(adapter: Adapter, id: str, state: str) -> RemoteRun:
    """Return a run once it is listed in a state."""

    async def look() -> RemoteRun | None:
        runs = (await adapter.list_runs()).runs
        return next((run for run in runs if (run.id, run.state) == (id, state)), None)

    return await eventually_async(look, f"{id} {state}")


async def asked(adapter: Adapter, id: str) -> Interrupt:
    await seen(adapter, id, "waiting")
    return next(one for one in await adapter.waiting() if one.run.id == id)


def values(server: Server, run: RemoteRun) -> dict[str, Any]:
    found: dict[str, Any] = server.ask("GET", f"/threads/{run.thread}")["values"]
    return found


def delete(server: Server, run: RemoteRun) -> None:
    httpx.delete(f"{server.url}/threads/{run.thread}").raise_for_status()


async def test_says_its_version_and_calls_graphs_by_their_names(adapter: Adapter) -> None:
    assert (await adapter.information()).version
    assert {one.id for one in await adapter.discover()} == {"refund", "report"}


async def test_an_assistant_that_somebody_made_has_no_graphs_name(
    server: Server, adapter: Adapter
) -> None:
    made = server.ask("POST", "/assistants", {"graph_id": "refund", "name": "refund"})
    offered = {one.id: one.name for one in await adapter.discover()}
    assert offered[made["assistant_id"]] == "refund"
    server.ask("POST", "/assistants/search", {})
    thread = server.ask("POST", "/threads", {})["thread_id"]
    body = {"assistant_id": made["assistant_id"], "input": {"mode": "slow"}}
    run = server.ask("POST", f"/threads/{thread}/runs", body)["run_id"]
    assert (await seen(adapter, run, "running")).offered == made["assistant_id"]


async def test_lists_what_runs_with_whose_it_is(server: Server, adapter: Adapter) -> None:
    run = await seen(adapter, start(server, "slow", "run_ours"), "running")
    assert (run.offered, run.our_run) == ("refund", "run_ours")
    assert run.started_at is not None


async def test_stops_a_run_and_says_so_again(server: Server, adapter: Adapter) -> None:
    run = await seen(adapter, start(server, "slow"), "running")
    assert (await adapter.stop(run, now=True)).result == "done"
    found = await adapter.inspect(run)
    assert found is not None
    assert found.state == "stopped"
    assert (await adapter.stop(run, now=True)).result == "already done"
    assert values(server, run)["log"] == []


async def test_ends_what_waits_for_a_person_though_it_cannot_be_cancelled(
    server: Server, adapter: Adapter
) -> None:
    run = (await asked(adapter, start(server, "ask"))).run
    came = await adapter.stop(run, now=True)
    assert (came.result, came.state) == ("done", "stopped")
    assert run.id not in {one.id for one in (await adapter.list_runs()).runs}
    assert values(server, run) == {"mode": "ask", "log": []}


async def test_a_paused_run_is_no_stopped_one_and_goes_on_as_another(
    server: Server, adapter: Adapter
) -> None:
    run = await seen(adapter, start(server, "slow", "run_ours"), "running")
    assert (await adapter.pause(run)).state == "paused"
    held = await seen(adapter, run.id, "paused")
    assert (await adapter.pause(held)).result == "already done"
    assert (await adapter.resume(held)).result == "done"
    runs = (await adapter.list_runs()).runs
    (after,) = [one for one in runs if one.thread == run.thread]
    assert (after.id != run.id, after.our_run) == (True, "run_ours")
    assert (await adapter.resume(held)).result == "already done"


async def test_a_stopped_run_is_not_paused(server: Server, adapter: Adapter) -> None:
    run = await seen(adapter, start(server, "slow"), "running")
    await adapter.stop(run, now=True)
    assert run.id not in {one.id for one in (await adapter.list_runs()).runs}
    assert (await adapter.resume(run)).result == "already done"


ANSWERS: list[tuple[str, Reply, Any]] = [
    ("ask", Reply("approve"), {"decisions": [{"type": "approve"}]}),
    (
        "ask",
        Reply("reject", message="too much"),
        {"decisions": [{"type": "reject", "message": "too much"}]},
    ),
    (
        "ask",
        Reply("edit", {"amount_usd": 5}),
        {
            "decisions": [
                {
                    "type": "edit",
                    "edited_action": {"name": "stripe.refund", "args": {"amount_usd": 5}},
                }
            ]
        },
    ),
    ("several", Reply("approve"), {"decisions": [{"type": "approve"}, {"type": "approve"}]}),
    ("plain", Reply("approve"), True),
    ("plain", Reply("reject"), False),
    ("plain", Reply("respond", message="no hurry"), "no hurry"),
]


async def test_answers_once_in_the_shape_that_was_asked(server: Server, adapter: Adapter) -> None:
    started = [start(server, mode) for mode, _, _ in ANSWERS]
    questions = [await asked(adapter, run) for run in started]
    assert (questions[0].tool, questions[0].arguments) == ("stripe.refund", {"amount_usd": 40})
    assert questions[0].text == "refund order 7"
    assert [name for name, _ in questions[3].also] == ["stripe.refund", "mail.send"]
    for question, (_, reply, _) in zip(questions, ANSWERS, strict=True):
        assert await adapter.answer(question, reply) == "applied"
    for question, (_, reply, said) in zip(questions, ANSWERS, strict=True):
        run = question.run
        found = await ended(server, run)
        assert (found["said"], found["log"]) == (said, ["acted"])
        # as a plane does that ended before it heard: the answer is found, not given again
        assert await adapter.answer(question, reply) == "applied"
        assert len(server.ask("GET", f"/threads/{run.thread}/runs")) == 2


async def ended(server: Server, run: RemoteRun) -> dict[str, Any]:
    """Return the values of a thread once its run has ended."""

    async def look() -> dict[str, Any] | None:
        thread = server.ask("GET", f"/threads/{run.thread}")
        return thread["values"] if thread["status"] == "idle" else None

    return await eventually_async(look, "an end")


async def test_an_answer_is_not_taken_for_the_next_question_of_the_same_step(
    server: Server, adapter: Adapter
) -> None:
    first = await asked(adapter, start(server, "twice"))
    assert await adapter.answer(first, Reply("approve")) == "applied"
    second = await next_question(adapter, first)
    assert second.raw == first.raw
    assert await adapter.answer(first, Reply("approve")) == "applied"
    assert await adapter.answer(first, Reply("reject")) == "already answered"
    assert await adapter.answer(second, Reply("reject")) == "applied"
    assert (await ended(server, first.run))["said"] == [True, False]


async def next_question(adapter: Adapter, first: Interrupt) -> Interrupt:
    """Return what the thread of an answered question asks next."""

    async def look() -> Interrupt | None:
        await adapter.list_runs()
        found = [one for one in await adapter.waiting() if one.run.thread == first.run.thread]
        return next((one for one in found if one.run.id != first.run.id), None)

    return await eventually_async(look, "the next question")


async def test_finds_what_another_answered(server: Server, adapter: Adapter) -> None:
    question = await asked(adapter, start(server, "plain"))
    body = {"assistant_id": "refund", "command": {"resume": {question.id: "mine"}}}
    server.ask("POST", f"/threads/{question.run.thread}/runs/wait", body)
    assert await adapter.answer(question, Reply("approve")) == "already answered"
    assert values(server, question.run)["said"] == "mine"


async def test_what_was_deleted_is_gone(server: Server, adapter: Adapter) -> None:
    question = await asked(adapter, start(server, "plain"))
    delete(server, question.run)
    assert await adapter.answer(question, Reply("approve")) == "gone"
    assert await adapter.inspect(question.run) is None
    assert (await adapter.stop(question.run, now=True)).result == "already done"


async def test_an_answer_that_its_question_does_not_allow_is_not_given(
    server: Server, adapter: Adapter
) -> None:
    question = await asked(adapter, start(server, "several"))
    assert await adapter.answer(question, Reply("edit", {"a": 1})) == "not supported"
    assert (await asked(adapter, question.run.id)).id == question.id


async def test_stops_all_that_runs_or_waits(server: Server, adapter: Adapter) -> None:
    started = {start(server, mode) for mode in ("slow", "slow", "ask", "plain")}
    await eventually_async(lambda: _under_way(adapter, started), "four runs")
    await adapter.stop_all()

    async def only_questions() -> bool:
        return {run.state for run in (await adapter.list_runs()).runs} == {"waiting"}

    # one request cancels what runs; what waits is ended one by one
    await eventually_async(only_questions, "nothing runs")

    async def nothing_is_left() -> bool:
        await stop_what_runs(adapter)
        return not (await adapter.list_runs()).runs

    await eventually_async(nothing_is_left, "what waited is ended")


async def _under_way(adapter: Adapter, started: set[str]) -> bool:
    found = (await adapter.list_runs()).runs
    return started <= {one.id for one in found if one.state in ("running", "waiting")}
