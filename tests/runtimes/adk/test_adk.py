"""ADK's real API server: what waits for confirmation is found and answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.runtimes.ground import Server, speaking_to
from watchkeeper.runtimes.model import Adapter, Interrupt, RemoteRun, Reply

pytestmark = pytest.mark.runtimes
AGENTS = [{"id": "support", "agent": "support"}, {"id": "support/ada", "agent": "support"}]
OURS = "run_01jd0000000000000000000000"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server("adk", tmp_path_factory.mktemp("adk"))
    yield started
    started.stop()


@pytest.fixture
async def adapter(server: Server, tmp_path: Path) -> AsyncIterator[Adapter]:
    async with speaking_to(server.url, "adk", tmp_path, agents=AGENTS) as opened:
        yield opened


async def asked_in(server: Server, adapter: Adapter, session: str) -> Interrupt:
    """Have the app run until its tool wants confirmation."""
    place = f"/apps/support/users/ada/sessions/{session}"
    server.ask("POST", place, {"watchkeeper_run_id": OURS})
    message = {"role": "user", "parts": [{"text": "Refund it."}]}
    body = {"appName": "support", "userId": "ada", "sessionId": session, "newMessage": message}
    server.ask("POST", "/run", body)
    (found,) = [one for one in await adapter.waiting() if one.run.id == session]
    return found


async def test_its_version_and_apps_are_read(adapter: Adapter) -> None:
    assert (await adapter.information()).version
    assert [one.id for one in await adapter.discover()] == ["support", "support/ada"]


@pytest.mark.parametrize(("choice", "told"), [("approve", "ch_3"), ("reject", "error")])
async def test_a_tool_that_wants_confirmation_is_answered_once(
    server: Server, adapter: Adapter, choice: str, told: str
) -> None:
    asked = await asked_in(server, adapter, f"s-{choice}")
    assert (asked.tool, asked.arguments) == ("refund", {"charge": "ch_3"})
    assert (asked.run.state, asked.run.our_run) == ("waiting", OURS)
    reply = Reply("approve" if choice == "approve" else "reject")
    assert await adapter.answer(asked, Reply("respond", message="?")) == "not supported"
    assert await adapter.answer(asked, reply) == "applied"
    assert await adapter.answer(asked, reply) == "already answered"
    after = await adapter.inspect(asked.run)
    assert after is not None
    assert (after.state, after.said) == ("done", "the agent has answered")
    session = server.ask("GET", f"/apps/support/users/ada/sessions/s-{choice}")
    assert told in session["events"][-1]["content"]["parts"][0]["text"]


async def test_what_it_cannot_do_is_said(server: Server, adapter: Adapter) -> None:
    asked = await asked_in(server, adapter, "s-stop")
    assert not {"stop", "stop all", "pause"} & adapter.can
    stopped = await adapter.stop(asked.run, now=True)
    assert stopped.result == "not supported"
    assert "the gateways cover its calls" in stopped.detail
    listing = await adapter.list_runs()
    assert asked.run.id in {run.id for run in listing.runs}
    assert not listing.complete


async def test_a_session_that_is_gone_is_not_known(server: Server, adapter: Adapter) -> None:
    gone = RemoteRun("nobody", "waiting", offered="support/ada")
    assert await adapter.inspect(gone) is None
    interrupt = Interrupt(gone, "i-1", None, {}, "?")
    assert await adapter.answer(interrupt, Reply("approve")) == "gone"
