"""Stopping what a lock covers in its runtimes: all of it, again and again, and never for long."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.rig.deadline import eventually_async
from tests.rig.stores import sqlite_url
from tests.runtimes.agent_server import AgentServer
from tests.runtimes.watched import RUNTIME, Ground, watching
from watchkeeper.core.errors import Forbidden
from watchkeeper.kill.model import LockTarget
from watchkeeper.runtimes.stopping import Locking, RuntimeResult
from watchkeeper.store.sqlite_engine import SCANS_AT_ONCE
from watchkeeper.wire.locks import TargetKind

CLERK = LockTarget("agent", "clerk")
ALL = LockTarget("everything", "*")


@pytest.fixture(autouse=True)
def _looking_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the server is told is so at once, or never."""
    monkeypatch.setattr("watchkeeper.runtimes.adapters.stopping.LOOK_SECONDS", 0)


@pytest.fixture
async def ground(database_url: str) -> AsyncIterator[Ground]:
    async with watching(database_url) as one:
        yield one


async def tell(
    ground: Ground, target: LockTarget, what: Locking = "stop"
) -> dict[str, RuntimeResult]:
    names = [name for name, _ in ground.runtimes.polling.watched()]
    stops = ground.runtimes.stops
    found = await asyncio.gather(
        *(stops.tell_in(name, target, what, by="lock/lock_1", why="odd") for name in names)
    )
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
    assert (result.result, result.detail[:9]) == ("done", "2 stopped")
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
    assert (await tell(ground, CLERK))["there"].result == "already done"
    assert len(await ground.events("runtime.run_stopped")) == 1


async def test_a_run_of_ours_is_found_wherever_it_runs(ground: Ground) -> None:
    ours = await ground.open()
    runs = [ground.server.begin(ours=ours) for _ in range(2)]
    left = ground.server.begin(ours=await ground.open())
    await ground.poll()
    result = await tell(ground, LockTarget("run", ours))
    assert result["there"].detail.startswith("2 stopped")
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
    result = await tell(ground, LockTarget("runtime", "there"))
    assert result["there"].result in ("done", "already done")
    assert {state(ground.server, run) for run in runs} == {"interrupted"}
    one_more = ground.server.begin(graph="who-knows")
    await tell(ground, ALL)
    assert state(ground.server, one_more) == "interrupted"
    assert not await ground.runs()


async def test_one_that_does_not_answer_is_unconfirmed_and_told_again(ground: Ground) -> None:
    run = ground.server.begin(ours=await ground.open())
    await ground.poll()
    ground.server.mode = "broken"
    result = (await tell(ground, CLERK))["there"]
    assert result.result == "unconfirmed"
    assert (await ground.runs())[run].state == "running"
    assert (await tell(ground, CLERK))["there"].result == "unconfirmed"
    assert len(await ground.events("runtime.run_told")) == 1, "told again, and no news"
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


@pytest.mark.parametrize(
    ("kind", "name"),
    [("agent", "clerk"), ("version", "clerk@1"), ("person", "eve"), ("runtime", "there")],
)
async def test_what_begins_under_a_lock_is_stopped_when_it_is_found(
    ground: Ground, kind: TargetKind, name: str
) -> None:
    ours = await ground.open(on_behalf_of="eve")
    lock = await ground.lock(kind, name)
    run, other = ground.server.begin(ours=ours), ground.server.begin(graph="report")
    await ground.poll()
    found = [state(ground.server, one) for one in (run, other)]
    assert found == ["interrupted", "interrupted" if kind == "runtime" else "running"]
    event = (await ground.events("runtime.run_stopped"))[0]
    assert event.actor == f"lock/{lock}"


async def test_runs_that_do_not_stop_keep_no_other_from_being_stopped(tmp_path: Path) -> None:
    async with watching(sqlite_url(tmp_path)) as ground:
        refusing = [ground.server.begin(refuses=True) for _ in range(49)]
        run = ground.server.begin()
        refusing += [ground.server.begin(refuses=True) for _ in range(3)]
        assert run > max(refusing), "by id it comes last"
        await ground.lock("agent", "clerk")
        for _ in range(2):
            await ground.poll()
        assert state(ground.server, run) == "interrupted"
        told = [one.body["id"] for one in await ground.events("runtime.run_told")]
        assert sorted(told) == sorted(refusing), "what is told again is no news"


async def test_what_begins_under_a_pause_is_paused_and_goes_on_once_it_is_lifted(
    ground: Ground,
) -> None:
    lock = await ground.lock("agent", "clerk", "pause")
    run = ground.server.begin()
    by_hand = ground.server.begin(graph="report")
    await ground.poll()
    await ground.runtimes.tell("there", by_hand, "pause", by="person/ada", reason="look")
    await ground.poll()
    rows = await ground.runs()
    assert {rows[run].state, rows[by_hand].state} == {"paused"}
    await ground.kill.lift(lock, reason="it is fine", by="person/ada")
    await ground.poll()
    await ground.poll()
    rows = await ground.runs()
    # in another run of its thread; what a person paused waits for a person
    assert rows.pop(by_hand).state == "paused"
    assert [row.state for row in rows.values()] == ["running"]
    (event,) = await ground.events("runtime.run_resumed")
    assert event.actor == f"lock/{lock}"


async def test_told_twice_at_once_it_is_paused_once(ground: Ground) -> None:
    run = ground.server.begin(ours=await ground.open())
    await ground.poll()
    results = await asyncio.gather(*(tell(ground, CLERK, "pause") for _ in range(3)))
    found = sorted(one["there"].result for one in results)
    assert found == ["already done", "already done", "done"]
    assert (await ground.runs())[run].state == "paused"
    assert not await ground.events("runtime.run_ended")


async def test_paused_and_resumed(ground: Ground) -> None:
    run = ground.server.begin(ours=await ground.open())
    await ground.poll()
    assert (await tell(ground, CLERK, "pause"))["there"].result == "done"
    assert (await ground.runs())[run].state == "paused"
    assert (await tell(ground, CLERK, "pause"))["there"].result == "already done"
    resumed = await ground.runtimes.tell("there", run, "resume", by="person/ada", reason="fine")
    assert resumed.result == "done"
    await ground.poll()
    assert [row.state for row in (await ground.runs()).values()] == ["running"]


@pytest.mark.parametrize("graph", ["refund", "who-knows"])
async def test_no_run_is_resumed_under_a_lock_also_a_rogue_one(ground: Ground, graph: str) -> None:
    run = ground.server.begin(graph=graph)
    await ground.poll()
    await ground.runtimes.tell("there", run, "pause", by="person/ada", reason="look")
    await ground.lock("runtime", "there", "pause")
    with pytest.raises(Forbidden, match="odd"):
        await ground.runtimes.tell("there", run, "resume", by="person/bob", reason="fine")
    assert not ground.server.started


async def test_a_lock_cuts_a_resume_that_is_being_told(ground: Ground) -> None:
    run = ground.server.begin()
    await ground.poll()
    await ground.runtimes.tell("there", run, "pause", by="person/ada", reason="look")
    ground.server.asked.clear()
    ground.server.mode = "hanging"
    resuming = asyncio.create_task(
        ground.runtimes.tell("there", run, "resume", by="person/bob", reason="fine")
    )

    async def is_asked() -> bool:
        return bool(ground.server.asked)

    await eventually_async(is_asked)
    await ground.lock("everything", "*", "pause")
    ground.server.mode = "well"
    ground.server.released.set()
    with pytest.raises(Forbidden, match="odd"):
        await resuming
    assert not ground.server.started


async def test_reports_hold_up_no_stop(tmp_path: Path) -> None:
    async with watching(sqlite_url(tmp_path)) as ground:
        run = ground.server.begin()
        await ground.poll()
        ends = threading.Event()
        reports = [
            asyncio.create_task(ground.store.scan(lambda tx: ends.wait(60)))
            for _ in range(SCANS_AT_ONCE)
        ]
        try:
            assert (await tell(ground, CLERK))["there"].result == "done"
            assert not any(one.done() for one in reports)
        finally:
            ends.set()
            await asyncio.gather(*reports)
        assert state(ground.server, run) == "interrupted"


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

            async def is_stopped() -> bool:
                return state(other, there) == "interrupted"

            # while the one hangs, the other's run is stopped; then both are told of
            await eventually_async(is_stopped, "the other's run is stopped")
            ground.server.mode = "broken"
            ground.server.released.set()
            result = await telling
            assert result["other"].result == "done"
            assert result["there"].result == "unconfirmed"
            assert (await ground.runs())[here].state == "running"
