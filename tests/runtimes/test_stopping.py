"""Stopping what a lock covers in its runtimes: all of it, again and again, and never for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.rig.stores import sqlite_url
from tests.runtimes.agent_server import AgentServer
from tests.runtimes.watched import RUNTIME, Ground, watching
from watchkeeper.decide.stop import KillSwitch
from watchkeeper.kill.model import LockTarget
from watchkeeper.runtimes.stopping import TRY_SECONDS, Reach, RuntimeResult, Told

CLERK = Reach(agents=frozenset({"clerk"}))


@pytest.fixture
async def ground(database_url: str) -> AsyncIterator[Ground]:
    async with watching(database_url) as one:
        yield one


async def tell(ground: Ground, reach: Reach, what: Told = "stop") -> dict[str, RuntimeResult]:
    found = await ground.runtimes.stops.tell(reach, what, by="lock/lock_1", why="odd")
    return {one.runtime: one for one in found}


def state(server: AgentServer, run: str) -> str:
    status: str = next(
        one["status"] for runs in server.runs.values() for one in runs if one["run_id"] == run
    )
    return status


async def test_what_an_agent_runs_is_stopped_and_nothing_else(ground: Ground) -> None:
    ours = ground.server.begin(ours=await ground.open())
    rogue = ground.server.begin()
    other = ground.server.begin(graph="report", ours=await ground.open("reader"))
    await ground.poll()
    (result,) = (await tell(ground, CLERK)).values()
    assert (result.result, result.counts) == ("done", (("done", 2),))
    assert [state(ground.server, run) for run in (ours, rogue, other)] == [
        "interrupted",
        "interrupted",
        "running",
    ]
    rows = await ground.runs(live=False)
    assert {rows[ours].state, rows[rogue].state} == {"stopped"}
    assert rows[other].state == "running"
    assert len(await ground.events("runtime.run_stopped")) == 2


async def test_told_again_it_is_done_already(ground: Ground) -> None:
    ground.server.begin(ours=await ground.open())
    await ground.poll()
    assert (await tell(ground, CLERK))["there"].result == "done"
    again = await tell(ground, CLERK)
    assert not again or again["there"].result == "already done"
    assert len(await ground.events("runtime.run_stopped")) == 1


async def test_a_run_of_ours_is_found_wherever_it_runs(ground: Ground) -> None:
    ours = await ground.open()
    runs = [ground.server.begin(ours=ours) for _ in range(2)]
    left = ground.server.begin(ours=await ground.open())
    await ground.poll()
    result = await tell(ground, Reach(runs=frozenset({ours})))
    assert result["there"].counts == (("done", 2),)
    assert {state(ground.server, run) for run in runs} == {"interrupted"}
    assert state(ground.server, left) == "running"


async def test_what_began_since_it_was_last_asked_is_stopped_too(ground: Ground) -> None:
    await ground.poll()
    run = ground.server.begin()
    assert (await tell(ground, CLERK))["there"].result == "done"
    assert state(ground.server, run) == "interrupted"
    assert (await ground.runs(live=False))[run].state == "stopped"


async def test_what_waits_for_a_person_is_ended(ground: Ground) -> None:
    run = ground.server.begin(ours=await ground.open())
    ground.server.ask(run, "shall I?")
    await ground.poll()
    assert (await tell(ground, CLERK))["there"].result == "done"
    assert ground.server.threads[ground.server.thread_of(run)]["status"] == "idle"


async def test_a_whole_runtime_and_everything(ground: Ground) -> None:
    runs = [ground.server.begin(graph=graph) for graph in ("refund", "report", "who-knows")]
    await ground.poll()
    result = await tell(ground, Reach(all_of=frozenset({"there"})))
    assert result["there"].result in ("done", "already done")
    assert {state(ground.server, run) for run in runs} == {"interrupted"}
    one_more = ground.server.begin(graph="who-knows")
    await tell(ground, Reach(everything=True))
    assert state(ground.server, one_more) == "interrupted"
    assert not await ground.runs()


async def test_one_that_does_not_answer_is_unconfirmed_and_told_again(ground: Ground) -> None:
    run = ground.server.begin(ours=await ground.open())
    await ground.poll()
    ground.server.mode = "broken"
    result = (await tell(ground, CLERK))["there"]
    assert result.result == "unconfirmed"
    assert (await ground.runs())[run].state == "running"
    ground.server.mode = "well"
    assert (await tell(ground, CLERK))["there"].result == "done"
    assert state(ground.server, run) == "interrupted"


async def test_one_that_nobody_had_seen_and_that_goes_on_is_not_confirmed(tmp_path: Path) -> None:
    """It began since the last poll, so only its runtime's list tells of it."""
    async with watching(sqlite_url(tmp_path)) as ground:
        run = ground.server.begin()
        ground.server.lets_go = False
        assert (await tell(ground, CLERK))["there"].result == "unconfirmed"
        assert state(ground.server, run) == "running"


async def test_what_begins_under_a_lock_is_stopped_when_it_is_found(ground: Ground) -> None:
    kill = KillSwitch(ground.decider)
    target = LockTarget("agent", "clerk")
    lock, _ = await kill.lock(target, mode="stop", reason="odd", by="person/ada")
    run, other = ground.server.begin(), ground.server.begin(graph="report")
    await ground.poll()
    assert [state(ground.server, one) for one in (run, other)] == ["interrupted", "running"]
    (event,) = await ground.events("runtime.run_stopped")
    assert event.actor == f"lock/{lock.lock}"
    await kill.stop()


async def test_paused_and_resumed(ground: Ground) -> None:
    run = ground.server.begin(ours=await ground.open())
    await ground.poll()
    assert (await tell(ground, CLERK, "pause"))["there"].result == "done"
    assert (await ground.runs())[run].state == "paused"
    assert (await tell(ground, CLERK, "pause"))["there"].result == "already done"
    assert (await tell(ground, CLERK, "resume"))["there"].result == "done"
    await ground.poll()
    assert [row.state for row in (await ground.runs()).values()] == ["running"]


async def test_a_hanging_one_holds_up_no_other_and_nobody_for_long(tmp_path: object) -> None:
    async with watching(sqlite_url(tmp_path)) as ground:  # type: ignore[arg-type]
        with AgentServer() as other:
            text = RUNTIME.format(url=other.url, timeout=5).replace("name: there", "name: other")
            await ground.apply(text)
            here, there = ground.server.begin(), other.begin()
            await ground.poll()
            await ground.poll(name="other")
            ground.server.mode = "hanging"
            telling = asyncio.create_task(tell(ground, CLERK))
            # whatever the one does, the other's run is stopped, and both are told of
            async with asyncio.timeout(TRY_SECONDS + 10):
                result = await telling
            assert state(other, there) == "interrupted"
            assert result["other"].result == "done"
            assert result["there"].result == "unconfirmed"
            assert (await ground.runs())[here].state == "running"
