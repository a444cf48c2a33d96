"""A stop reaches the runtimes: what each answers is on its receipt; it is told until it does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.rig.deadline import eventually_async
from tests.runtimes.watched import RUNTIME, Ground, watching
from watchkeeper.decide.kill.confirming import RETRY
from watchkeeper.decide.kill.stop import KillSwitch
from watchkeeper.kill.model import LockTarget, NewLock, Receipt
from watchkeeper.kill.receipts import receipts_of
from watchkeeper.runtimes.effects import RuntimeStops
from watchkeeper.store import timers
from watchkeeper.wire.locks import Mode, TargetKind


@pytest.fixture(autouse=True)
def _looking_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the server is told is so at once, or never."""
    monkeypatch.setattr("watchkeeper.runtimes.adapters.stopping.LOOK_SECONDS", 0)


@pytest.fixture
async def ground(database_url: str) -> AsyncIterator[Ground]:
    async with watching(database_url) as one:
        yield one


def switch(ground: Ground) -> KillSwitch:
    """A kill switch that tells the ground's runtime, as one of a plane just started."""
    stops = ground.runtimes.stops
    return KillSwitch(ground.decider, [RuntimeStops(ground.view, stops)])


async def kill(
    ground: Ground,
    kind: TargetKind,
    name: str,
    by: KillSwitch | None = None,
    mode: Mode = "stop",
) -> str:
    target = LockTarget(kind, name)
    lock, _ = await (by or switch(ground)).lock(
        NewLock(target, mode=mode, reason="wrong refunds", by="person/ada")
    )
    return lock.lock


def state(ground: Ground, run: str) -> str:
    """How a run stands in its runtime, as that knows it."""
    return str(ground.server.runs[ground.server.thread_of(run)][0]["status"])


async def receipt(ground: Ground, lock: str, *states: str) -> Receipt:
    """Wait for the runtime's receipt to be in one of these states."""

    async def found() -> Receipt | None:
        rows = await ground.store.read(lambda tx: receipts_of(tx, lock))
        (one,) = [row for row in rows if row.party == "runtime/there"]
        return one if one.state in states and one.attempts else None

    return await eventually_async(found, f"the receipt is {' or '.join(states)}")


async def attempted(ground: Ground, lock: str, times: int) -> None:
    """Wait for the runtime to have been told so often."""

    async def is_so() -> bool:
        return (await receipt(ground, lock, "attempted", "unconfirmed")).attempts >= times

    await eventually_async(is_so, f"it was told {times} times")


async def tell_again(ground: Ground, by: KillSwitch, lock: str) -> None:
    """Let the timer of a lock's receipts come due."""

    def fire(tx: Any) -> None:
        timer = timers.find(tx, RETRY, lock)
        assert timer is not None, "somebody is still to be told"
        timers.fire(tx, timer, by.handlers)

    await ground.store.write(fire)


async def test_the_runs_of_a_killed_agent_are_stopped_where_they_run(ground: Ground) -> None:
    ours, other = await ground.open(), await ground.open("reader")
    mine = ground.server.begin(ours=ours)
    beside = ground.server.begin("report", ours=other)
    await ground.poll()
    lock = await kill(ground, "agent", "clerk")
    said = await receipt(ground, lock, "acknowledged")
    assert said.by == "runtime/there"
    assert "1 stopped" in said.detail
    assert (state(ground, mine), state(ground, beside)) == ("interrupted", "running")


async def test_a_killed_run_alone_is_stopped_and_one_that_began_since_the_last_look(
    ground: Ground,
) -> None:
    ours, other = await ground.open(), await ground.open()
    beside = ground.server.begin(ours=other)
    await ground.poll()
    mine = ground.server.begin(ours=ours)
    lock = await kill(ground, "run", ours)
    assert "1 stopped" in (await receipt(ground, lock, "acknowledged")).detail
    assert (state(ground, mine), state(ground, beside)) == ("interrupted", "running")


async def test_the_runs_of_a_paused_agent_are_paused_where_they_run(ground: Ground) -> None:
    mine, waits = [ground.server.begin(ours=await ground.open()) for _ in range(2)]
    beside = ground.server.begin("report", ours=await ground.open("reader"))
    ground.server.ask(waits, "shall I?")
    await ground.poll()
    lock = await kill(ground, "agent", "clerk", mode="pause")
    said = await receipt(ground, lock, "acknowledged")
    assert said.detail.startswith("1 paused, 1 already done")
    rows = await ground.runs()
    assert (rows[mine].state, rows[waits].state) == ("paused", "waiting")
    assert state(ground, beside) == "running"


async def test_where_nothing_can_be_paused_the_receipt_says_so(ground: Ground) -> None:
    await ground.apply(RUNTIME.format(url=ground.server.url, timeout=5).replace("langgraph", "adk"))
    lock = await kill(ground, "agent", "clerk", mode="pause")
    said = await receipt(ground, lock, "not supported")
    assert said.detail == "its kind can't pause a run; the gateways refuse what it asks"


async def test_all_that_a_killed_runtime_runs_is_stopped_rogue_or_not(ground: Ground) -> None:
    ours = await ground.open()
    runs = [ground.server.begin(ours=ours), ground.server.begin("report"), ground.server.begin("?")]
    await ground.poll()
    lock = await kill(ground, "runtime", "there")
    assert (await receipt(ground, lock, "acknowledged")).detail.startswith("3 ")
    assert {state(ground, run) for run in runs} == {"interrupted"}


async def test_what_does_not_stop_stays_unconfirmed_alarms_and_is_told_again_by_another_plane(
    ground: Ground,
) -> None:
    ground.server.lets_go = False
    ground.server.begin(ours=await ground.open())
    await ground.poll()
    by = switch(ground)
    lock = await kill(ground, "agent", "clerk", by)
    assert "unconfirmed" in (await receipt(ground, lock, "attempted")).detail
    ground.clock.advance(11)
    await tell_again(ground, by, lock)
    assert (await receipt(ground, lock, "unconfirmed")).deadline is None
    (alarm,) = await ground.events("lock.unconfirmed")
    assert "runtime/there" in alarm.body["text"]
    said = await ground.events("receipt.recorded")
    again = (await receipt(ground, lock, "unconfirmed")).attempts + 1
    ground.clock.advance(60)
    await tell_again(ground, by, lock)
    await attempted(ground, lock, again)
    assert await ground.events("receipt.recorded") == said, "it says what it said before"
    ground.server.lets_go = True
    # a plane that was started anew knows of the lock what the store knows
    await by.stop()
    anew = switch(ground)
    await anew.view.load()
    ground.clock.advance(60)
    await tell_again(ground, anew, lock)
    assert (await receipt(ground, lock, "acknowledged")).attempts > 1
    assert len(await ground.events("lock.unconfirmed")) == 1
    (confirmed,) = await ground.events("lock.confirmed")
    assert confirmed.body["alarmed"] is True


@pytest.mark.parametrize("mode", ["broken", "garbled", "hanging"])
async def test_a_runtime_that_does_not_answer_holds_up_no_lock(
    ground: Ground, mode: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchkeeper.runtimes.stopping.TRY_SECONDS", 0.2)
    ground.server.begin(ours=await ground.open())
    await ground.poll()
    ground.server.mode = mode
    lock = await kill(ground, "agent", "clerk")
    said = await receipt(ground, lock, "attempted")
    assert said.by is None
    ground.server.released.set()
