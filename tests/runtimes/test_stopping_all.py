"""A described runtime with one request that stops all, and none that stops one run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.rig.stores import sqlite_url
from tests.runtimes.crooked.server import crooked
from tests.runtimes.watched import Ground, watching
from watchkeeper.kill.model import LockTarget
from watchkeeper.runtimes.stopping import RuntimeResult

BATCH = """
runtime:
  name: batch
  kind: http
  url: {url}
  agents: [{{id: refund, agent: clerk}}]
  http:
    runs:
      request: {{method: GET, path: /jobs}}
      agent: job
      states: {{active: running, ended: stopped}}
    stop_all: {{method: POST, path: /end}}
"""
WHOLE = LockTarget("runtime", "batch")


class Jobs:
    """What runs there, by id; `heeds`: which of them end when all are told to."""

    def __init__(self, *jobs: str) -> None:
        self.jobs = dict.fromkeys(jobs, "active")
        self.heeds = set(jobs)
        self.told = 0
        self.refuses = False

    def answer(self, request: web.Request) -> Any:
        if request.method != "POST":
            return [{"id": id, "status": said, "job": "refund"} for id, said in self.jobs.items()]
        self.told += 1
        if self.refuses:
            return 503
        self.jobs |= dict.fromkeys(self.heeds & self.jobs.keys(), "ended")
        return {}


@pytest.fixture(autouse=True)
def _looking_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchkeeper.runtimes.adapters.stopping.LOOK_SECONDS", 0)


@asynccontextmanager
async def batch(path: Path, jobs: Jobs) -> AsyncIterator[Ground]:
    async with crooked(jobs.answer) as server, watching(sqlite_url(path)) as ground:
        await ground.apply(BATCH.format(url=server.url))
        await ground.poll(name="batch")
        yield ground


async def tell(ground: Ground, target: LockTarget) -> RuntimeResult:
    stops = ground.runtimes.stops
    return await stops.tell_in("batch", target, by="lock/lock_1", why="odd")


async def states(ground: Ground) -> dict[str, str]:
    rows, _ = await ground.runtimes.runs("batch", standing=None, live=False, after=None, limit=500)
    return {row.id: row.state for row in rows}


async def test_each_run_is_read_back_once_all_are_told(tmp_path: Path) -> None:
    jobs = Jobs("job-1", "job-2")
    async with batch(tmp_path, jobs) as ground:
        found = await tell(ground, WHOLE)
        assert (found.result, found.detail[:9]) == ("done", "2 stopped")
        assert await states(ground) == {"job-1": "stopped", "job-2": "stopped"}
        assert len(await ground.events("runtime.run_stopped")) == 2
        assert (await tell(ground, WHOLE)).result == "already done"


async def test_one_that_goes_on_is_unconfirmed(tmp_path: Path) -> None:
    jobs = Jobs("job-1", "job-2")
    jobs.heeds = {"job-1"}
    async with batch(tmp_path, jobs) as ground:
        found = await tell(ground, WHOLE)
        assert found.result == "unconfirmed"
        assert found.detail == (
            "1 stopped, 1 unconfirmed; it took the stop; the runtime says active"
        )
        assert await states(ground) == {"job-1": "stopped", "job-2": "running"}


async def test_a_refused_stop_of_all_confirms_nothing(tmp_path: Path) -> None:
    jobs = Jobs("job-1")
    jobs.refuses = True
    async with batch(tmp_path, jobs) as ground:
        found = await tell(ground, WHOLE)
        assert found.result == "unconfirmed"
        assert "it refused the stop" in found.detail
        assert await states(ground) == {"job-1": "running"}


async def test_what_begins_under_a_lock_on_it_is_stopped_with_all(tmp_path: Path) -> None:
    jobs = Jobs()
    async with batch(tmp_path, jobs) as ground:
        lock = await ground.lock("runtime", "batch")
        jobs.jobs["job-3"] = "active"
        jobs.heeds = {"job-3"}
        await ground.poll(name="batch")
        assert await states(ground) == {"job-3": "stopped"}
        (event,) = await ground.events("runtime.run_stopped")
        assert event.actor == f"lock/{lock}"


async def test_what_is_narrower_is_told_what_can_be_done(tmp_path: Path) -> None:
    jobs = Jobs("job-1")
    async with batch(tmp_path, jobs) as ground:
        one = await ground.runtimes.tell("batch", "job-1", "stop", by="person/ada", reason="odd")
        agent = await tell(ground, LockTarget("agent", "clerk"))
        assert [one.result, agent.result] == ["not supported"] * 2
        for detail in (one.detail, agent.detail):
            assert (
                "it can only stop all that runs there: `watchkeeper kill runtime/batch`" in detail
            )
        clerk = LockTarget("agent", "clerk")
        rehearsed = [
            (await ground.runtimes.stops.answers("batch", target, "stop")).supported
            for target in (clerk, WHOLE)
        ]
        assert rehearsed == [False, True]
        await ground.lock("agent", "clerk")
        await ground.poll(name="batch")
        assert not jobs.told
        assert await states(ground) == {"job-1": "running"}
