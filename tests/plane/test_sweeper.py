"""Time passes: reminders, escalation and expiry happen once, in order, also after downtime."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.rig.deadline import eventually, eventually_async
from tests.rig.plane import Plane
from tests.rig.world import POLICY, world
from watchkeeper.core.clock import MICROSECONDS, RehearsalClock
from watchkeeper.plane.schedule import Schedule
from watchkeeper.plane.sweeper import BATCH, Sweeper

LARGE = {"charge_id": "ch_1", "amount_usd": 300}
STORY = ["request.created", "request.reminded", "request.reminded", "request.escalated"]


def story(plane: Plane, request: str) -> list[str]:
    return [
        event["type"] for event in plane.events(request=request) if event["type"] != "decision.held"
    ]


def hold(plane: Plane) -> str:
    plane.apply(*world(), policy__cedar=POLICY)
    request: str = plane.enrol("clerk").open_run().decide("books.create_refund", LARGE)["request"]
    return request


def test_what_falls_due_happens_at_once_when_the_clock_moves(plane: Plane) -> None:
    request = hold(plane)
    plane.advance(121)
    assert story(plane, request) == STORY[:2]
    plane.advance(180)
    assert story(plane, request) == STORY
    plane.advance(600)
    assert story(plane, request)[-1] == "request.expired"
    assert plane.operator.get(f"/v1/requests/{request}")["state"] == "expired"


def test_nobody_needs_to_move_the_clock(make_plane: object) -> None:
    assert callable(make_plane)
    plane: Plane = make_plane(clock=None)
    policy = POLICY.replace('@sla("15m")', '@sla("1s")')
    plane.apply(*world(), policy__cedar=policy)
    run = plane.enrol("clerk").open_run()
    request = run.decide("books.create_refund", LARGE)["request"]
    eventually(
        lambda: plane.operator.get(f"/v1/requests/{request}")["state"] == "expired",
        "the request expires by itself",
    )


def test_what_fell_due_while_the_plane_was_down_happens_once_and_in_order(plane: Plane) -> None:
    request = hold(plane)
    plane.advance(10)
    plane.kill()
    plane.restart()
    assert plane.operator.get("/v1/status")["pending"] == 1
    plane.advance(2000)
    told = story(plane, request)
    assert told[0] == "request.created"
    assert told[-1] == "request.expired"
    assert told.count("request.escalated") == 1
    assert told.count("request.expired") == 1
    due = [e["body"]["due_at"] for e in plane.events(request=request) if "due_at" in e["body"]]
    assert due == sorted(due)


def test_a_rehearsal_goes_on_where_it_was(plane: Plane) -> None:
    plane.advance(100_000)
    plane.issue_token("ada")
    before = plane.operator.get("/v1/status")["now"]
    plane.kill()
    plane.restart()
    assert plane.operator.get("/v1/status")["now"] >= before - 5 * MICROSECONDS


class Alarms:
    """Timers in memory; the third run fails once, as a store may."""

    def __init__(self, clock: RehearsalClock, due: list[int]) -> None:
        self.clock = clock
        self.due = sorted(due)
        self.ran: list[int] = []
        self.largest = 0
        self.fail = 1

    async def next_due(self) -> int | None:
        return self.due[0] if self.due else None

    async def run_due(self, limit: int) -> int:
        batch = [at for at in self.due if at <= self.clock.now()][:limit]
        if self.ran and self.fail:
            self.fail = 0
            raise OSError("the disk is away")
        self.largest = max(self.largest, len(batch))
        self.ran += batch
        del self.due[: len(batch)]
        return len(batch)


async def test_the_sweeper_takes_bounded_batches_and_survives_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("watchkeeper.plane.sweeper._RETRY_SECONDS", 0.01)
    clock = RehearsalClock(frozen=True)
    start = clock.now()
    wanted = [start + n for n in range(3 * BATCH)]
    alarms = Alarms(clock, [*wanted, start + 3600 * MICROSECONDS])
    sweeper = Sweeper(alarms, clock)
    clock.advance(1)
    sweeper.start()
    clock.on_advance(lambda now: sweeper.wake())

    async def swept() -> bool:
        return alarms.ran == wanted

    await eventually_async(swept)
    assert alarms.largest <= BATCH
    clock.advance(3600)

    async def emptied() -> bool:
        return not alarms.due

    await eventually_async(emptied)
    await sweeper.stop()
    await sweeper.stop()


async def test_a_recurring_job_that_fails_comes_again(caplog: pytest.LogCaptureFixture) -> None:
    ran = asyncio.Event()
    calls = 0

    async def job() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ValueError("once")
        ran.set()

    schedule = Schedule()
    schedule.every(0.02, "probe", job)
    with caplog.at_level(logging.ERROR):
        schedule.start()
        await asyncio.wait_for(ran.wait(), 20)
    schedule.stop()
    assert "probe failed" in caplog.text
