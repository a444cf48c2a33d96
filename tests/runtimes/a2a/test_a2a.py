"""A real A2A agent: its tasks are found, answered and cancelled."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rig.deadline import eventually_async
from tests.runtimes.ground import Server, speaking_to, stop_what_runs
from watchkeeper.runtimes.model import Adapter, Interrupt, RemoteRun, Reply

pytestmark = pytest.mark.runtimes
OURS = "run_01jd0000000000000000000000"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server("a2a", tmp_path_factory.mktemp("a2a"))
    yield started
    started.stop()


@pytest.fixture
async def adapter(server: Server, tmp_path: Path) -> AsyncIterator[Adapter]:
    async with speaking_to(server.url, "a2a", tmp_path) as opened:
        yield opened
        await stop_what_runs(opened)


def send(server: Server, text: str, **more: Any) -> str:
    """Send the agent a message as its own callers do; return its task."""
    message = {"messageId": f"m-{text}", "role": "ROLE_USER", "parts": [{"text": text}], **more}
    params = {"message": message, "configuration": {"returnImmediately": True}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": params}
    answer = server.ask("POST", "/rpc", body, headers={"a2a-version": "1.0"})
    return str(answer["result"]["task"]["id"])


async def run_in(adapter: Adapter, id: str, state: str) -> RemoteRun:
    async def look() -> RemoteRun | None:
        runs = (await adapter.list_runs()).runs
        return next((run for run in runs if (run.id, run.state) == (id, state)), None)

    return await eventually_async(look)


async def question_of(adapter: Adapter, id: str) -> Interrupt:
    async def look() -> Interrupt | None:
        return next((one for one in await adapter.waiting() if one.run.id == id), None)

    return await eventually_async(look)


async def test_its_card_is_read(adapter: Adapter) -> None:
    assert (await adapter.information()).version == "3.2.1"
    assert [one.id for one in await adapter.discover()] == ["refunds"]


async def test_a_task_is_cancelled_once_and_that_is_read_back(
    server: Server, adapter: Adapter
) -> None:
    task = send(server, "work", metadata={"watchkeeper_run_id": OURS})
    run = await run_in(adapter, task, "running")
    assert (run.our_run, run.said) == (OURS, "TASK_STATE_WORKING")
    assert run.updated_at is not None
    stopped = await adapter.stop(run, now=True)
    assert (stopped.result, stopped.state) == ("done", "stopped")
    assert (await adapter.stop(run, now=True)).result == "already done"
    assert (await adapter.list_runs()).runs == ()


async def test_a_task_that_wants_input_is_answered_once(server: Server, adapter: Adapter) -> None:
    asked = await question_of(adapter, send(server, "ask"))
    assert (asked.text, asked.choices) == ("Refund charge ch_3?", ("respond", "reject"))
    assert await adapter.answer(asked, Reply("approve")) == "not supported"
    assert await adapter.answer(asked, Reply("respond", message="half of it")) == "applied"

    async def ended() -> bool:
        run = await adapter.inspect(asked.run)
        return run is not None and run.state == "done"

    await eventually_async(ended)
    assert await adapter.answer(asked, Reply("respond", message="again")) == "gone"


async def test_an_answer_to_an_earlier_question_is_not_taken_for_this_one(
    server: Server, adapter: Adapter
) -> None:
    asked = await question_of(adapter, send(server, "ask"))
    send(server, "ask", messageId="another", taskId=asked.run.id)

    async def moved_on() -> bool:
        return (await question_of(adapter, asked.run.id)).id != asked.id

    await eventually_async(moved_on)
    assert await adapter.answer(asked, Reply("respond", message="late")) == "already answered"


async def test_a_task_that_is_refused_is_cancelled(server: Server, adapter: Adapter) -> None:
    asked = await question_of(adapter, send(server, "authorise"))
    assert asked.choices == ("reject",)
    assert await adapter.answer(asked, Reply("reject")) == "applied"
    after = await adapter.inspect(asked.run)
    assert after is not None
    assert after.state == "stopped"


async def test_each_is_stopped_and_what_is_not_there_is_said(
    server: Server, adapter: Adapter
) -> None:
    for text in ("work", "ask", "authorise"):
        send(server, text)
    assert "stop all" not in adapter.can
    assert await stop_what_runs(adapter) <= {"done", "already done"}
    assert (await adapter.list_runs()).runs == ()
    gone = RemoteRun("nobody/knows", "running")
    assert await adapter.inspect(gone) is None
    assert (await adapter.stop(gone, now=True)).result == "already done"
    assert (await adapter.pause(gone)).result == "not supported"


async def test_an_agent_of_the_older_version_is_stopped_by_its_own_names(
    server: Server, tmp_path: Path
) -> None:
    task = send(server, "work")
    async with speaking_to(f"{server.url}/old", "a2a", tmp_path) as adapter:
        listing = await adapter.list_runs()
        assert (listing.runs, listing.complete) == ((), False)
        assert "list" not in adapter.can
        run = await adapter.inspect(RemoteRun(task, "running"))
        assert run is not None
        assert run.said in {"submitted", "working"}
        assert (await adapter.stop(run, now=True)).result == "done"
