"""LlamaIndex's real workflow server: found, asked about, answered and stopped."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.rig.deadline import eventually_async
from tests.runtimes.ground import Server, speaking_to, stop_what_runs
from watchkeeper.runtimes.model import Adapter, Interrupt, RemoteRun, Reply

pytestmark = pytest.mark.runtimes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server("llamaindex", tmp_path_factory.mktemp("llamaindex"))
    yield started
    started.stop()


@pytest.fixture
async def adapter(server: Server, tmp_path: Path) -> AsyncIterator[Adapter]:
    async with speaking_to(server.url, "llamaindex", tmp_path) as opened:
        yield opened
        await stop_what_runs(opened)


def start(server: Server, workflow: str, handler: str, **event: object) -> None:
    body = {"start_event": event, "handler_id": handler}
    server.ask("POST", f"/workflows/{workflow}/run-nowait", body)


async def run_of(adapter: Adapter, id: str) -> RemoteRun | None:
    return next((run for run in (await adapter.list_runs()).runs if run.id == id), None)


async def question_of(adapter: Adapter, id: str) -> Interrupt:
    async def look() -> Interrupt | None:
        return next((one for one in await adapter.waiting() if one.run.id == id), None)

    return await eventually_async(look)


async def test_it_answers_and_tells_its_workflows(adapter: Adapter) -> None:
    assert (await adapter.information()).authorised
    assert {one.id for one in await adapter.discover()} == {"refund", "within", "twice", "slow"}


async def test_a_handler_is_stopped_once_and_that_is_read_back(
    server: Server, adapter: Adapter
) -> None:
    id = "run_01jd0000000000000000000000"
    start(server, "slow", id)
    run = await eventually_async(lambda: run_of(adapter, id))
    assert (run.state, run.offered, run.our_run) == ("running", "slow", id)
    assert run.started_at is not None
    stopped = await adapter.stop(run, now=True)
    assert (stopped.result, stopped.state) == ("done", "stopped")
    assert (await adapter.stop(run, now=True)).result == "already done"
    assert await run_of(adapter, id) is None
    after = await adapter.inspect(run)
    assert after is not None
    assert after.state == "stopped"


async def test_a_question_is_answered_once(
    server: Server, adapter: Adapter, tmp_path: Path
) -> None:
    start(server, "refund", "asked", charge="ch_3")
    asked = await question_of(adapter, "asked")
    assert asked.run.state == "waiting"
    assert asked.text == "Refund this charge?"
    assert asked.arguments == {"prefix": "Refund this charge?", "charge": "ch_3"}
    async with speaking_to(server.url, "llamaindex", tmp_path) as other:
        (same,) = [one for one in await other.waiting() if one.run.id == "asked"]
        assert same.id == asked.id
        assert await adapter.answer(asked, Reply("respond", message="half of it")) == "applied"
        assert await adapter.answer(asked, Reply("approve")) == "already answered"

        async def ended() -> bool:
            run = await other.inspect(same.run)
            return run is not None and run.state == "done"

        await eventually_async(ended)
        assert await other.answer(same, Reply("approve")) == "gone"
    assert server.ask("GET", "/handlers/asked")["result"]["value"]["result"] == "half of it"


async def test_a_question_within_a_step_is_answered_too(server: Server, adapter: Adapter) -> None:
    start(server, "within", "inside")
    asked = await question_of(adapter, "inside")
    assert await adapter.answer(asked, Reply("approve")) == "applied"
    await eventually_async(lambda: _result(server, "inside"))
    assert await _result(server, "inside") == "approve"


async def test_of_several_questions_at_once_none_is_answered_for_another(
    server: Server, adapter: Adapter
) -> None:
    start(server, "twice", "both")

    async def waits() -> bool:
        run = await run_of(adapter, "both")
        return run is not None and run.state == "waiting"

    await eventually_async(waits)
    assert not [one for one in await adapter.waiting() if one.run.id == "both"]


async def test_each_is_stopped_and_what_it_cannot_do_is_said(
    server: Server, adapter: Adapter
) -> None:
    for number in range(5):
        start(server, "slow", f"all-{number}")
    start(server, "refund", "asking")
    assert "stop all" not in adapter.can
    assert await stop_what_runs(adapter) <= {"done", "already done"}
    assert (await adapter.list_runs()).runs == ()
    run = RemoteRun("all-0", "running")
    assert "pause" not in adapter.can
    paused = await adapter.pause(run)
    assert paused.result == "not supported"
    assert "no way to pause" in paused.detail


async def test_a_handler_whose_id_no_path_can_carry_is_not_said_to_have_stopped(
    server: Server, adapter: Adapter
) -> None:
    start(server, "slow", "../plain")
    run = await eventually_async(lambda: run_of(adapter, "../plain"))
    stopped = await adapter.stop(run, now=True)
    assert stopped.result == "unconfirmed", stopped


async def _result(server: Server, handler: str) -> str | None:
    found = server.ask("GET", f"/handlers/{handler}")["result"]
    return str(found["value"]["result"]) if found else None
