"""What is watched of the ledger: each event once, however the plane ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.decide.still import WORLD, catalogue
from tests.rig.deadline import POLL_SECONDS, eventually_async
from watchkeeper.breakers import service
from watchkeeper.breakers.keeping import load
from watchkeeper.breakers.model import Alarm
from watchkeeper.breakers.watch import Watch
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.decide.budgets.breakers import Open
from watchkeeper.decide.budgets.watching import Watching
from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.store.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from watchkeeper.store.transaction import Transaction

AGENT = "refund-assistant"
BREAKER = f"runaway/{AGENT}"
DOCUMENT = """
---
breaker:
  name: runaway
  scope: all
  cost: {baseline_calls: 30}
  rate: {baseline_calls: 30}
  errors: {calls: 10}
  loop: {}
  burn: {}
"""


class Ground:
    """A store, what is in force, and a watch over it."""

    def __init__(self, store: Store, clock: RehearsalClock) -> None:
        self.store, self.clock = store, clock
        self.view = CatalogueView(catalogue(WORLD + DOCUMENT))
        self.open = Open()
        self.numbers: Iterator[int] = iter(range(10**6))

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[Watching]:
        """A watch that ends in order."""
        found = Watching(self.store, self.view, self.open)
        await found.start()
        yield found
        await found.stop()

    async def call(
        self,
        cost: int = 2_000,
        *,
        status: str = "succeeded",
        version: int = 1,
        seconds: float = 10,
        digest: str | None = None,
    ) -> int:
        """Record a call and how it ended; return the sequence of its last event."""
        self.clock.advance(seconds)
        n = next(self.numbers)
        said = {"kind": "model", "name": "small-fast", "version": version}

        def unit(tx):  # type: ignore[no-untyped-def]
            decision = tx.new_id("dec")
            about = {"actor": "agent/x", "agent": AGENT, "run": "run_1"}
            subject = f"decision/{decision}"
            body = {**said, "decision": decision, "digest": digest or f"{n:016d}"}
            tx.record("decision.permitted", subject=subject, body=body, **about)
            ended = {**said, "decision": decision, "status": status, "cost_micros": cost}
            ended |= {"input_tokens": 10, "output_tokens": 10}
            return tx.record("outcome.recorded", subject=subject, body=ended, **about)

        sequence: int = await self.store.write(unit)
        return sequence

    async def calls(self, count: int, cost: int = 2_000, version: int = 1) -> int:
        """Record calls that cost about the same."""
        last = 0
        for n in range(count):
            last = await self.call(cost + n % 7 * 50, version=version)
        return last

    async def kept(self) -> dict[tuple[str, int], Watch]:
        return await self.store.read(load)

    async def state(self) -> str:
        found = await self.store.read(lambda tx: service.find(tx, BREAKER))
        return found.state if found else "closed"


@pytest.fixture
def ground(store: Store, clock: RehearsalClock) -> Ground:
    return Ground(store, clock)


async def passed(watching: Watching, sequence: int, every: float = POLL_SECONDS) -> None:
    """Wait until events were looked at."""
    await eventually_async(lambda: _reached(watching, sequence), "looked at", every=every)


async def _reached(watching: Watching, sequence: int) -> bool:
    return watching._passed >= sequence


async def test_a_baseline_is_learned_of_each_version(ground: Ground) -> None:
    async with ground.watching() as watching:
        await ground.calls(40)
        await passed(watching, await ground.calls(40, cost=40_000, version=2))
        one, two = (watching.remembered(BREAKER, version) for version in (1, 2))
        assert one is not None
        assert two is not None
        assert (one.costs.calls, two.costs.calls) == (30, 30)
        assert one.costs.median_micros in range(2_000, 2_400)
        assert two.costs.median_micros in range(40_000, 41_000)
    assert await ground.state() == "closed", "another version is no jump"


async def test_each_event_counts_once_however_it_ends(ground: Ground) -> None:
    async with ground.watching() as watching:
        await passed(watching, await ground.calls(10))
    # what was counted in since the last time it was kept is lost with the plane
    lost = Watching(ground.store, ground.view, ground.open)
    await lost.start()
    await passed(lost, await ground.calls(10))
    await ground.calls(10)
    assert lost._task is not None
    lost._task.cancel()
    async with ground.watching() as watching:
        await passed(watching, await ground.calls(9))
        alive = watching.remembered(BREAKER, 1)
    async with ground.watching() as watching:
        await passed(watching, await ground.calls(1))
    whole = (await ground.kept())[BREAKER, 1]
    assert alive is not None
    assert whole.costs.calls == 30
    # one watch that saw it all at once remembers the same
    fresh = Ground(ground.store, ground.clock)
    other = Watching(fresh.store, fresh.view, fresh.open)
    other._find_over()
    for event in [one async for one in everything(ground.store)]:
        await other._try(event, other._breakers_over(event.agent))
    assert other.remembered(BREAKER, 1) == whole


async def everything(store: Store):  # type: ignore[no-untyped-def]
    async for batch in store.subscribe(after=0):
        for event in batch:
            yield event
        if batch[-1].sequence == store.head:
            return


async def test_alarmed_calls_are_never_learned(ground: Ground) -> None:
    async with ground.watching() as watching:
        await passed(watching, await ground.calls(30))
        before = watching.remembered(BREAKER, 1)
        for _ in range(10):
            await passed(watching, await ground.call(40_000))
        assert await ground.state() == "open"
        assert AGENT in ground.open
        after = watching.remembered(BREAKER, 1)
        assert before is not None
        assert after is not None
        assert after.costs.usual == before.costs.usual
        assert after.costs.rise.sum == 0


async def test_a_trip_that_cannot_be_written_is_tried_again(ground: Ground) -> None:
    async with ground.watching() as watching:
        await passed(watching, await ground.calls(30))
        # another moved the cursor: what this one remembers is not what is kept
        other = Watching(ground.store, ground.view, ground.open)
        await other._load()
        watching._saved -= 1
        for _ in range(10):
            last = await ground.call(40_000)
        await passed(watching, last)
        assert await ground.state() == "open"
        opened = [
            e for e in [o async for o in everything(ground.store)] if e.type.endswith("opened")
        ]
        assert len(opened) == 1


async def test_after_a_crash_what_had_tripped_is_open_from_the_alarm_on(ground: Ground) -> None:
    async with ground.watching() as watching:
        await passed(watching, await ground.calls(30))
    # the plane ends right after the commit: the cursor stands at the call that alarmed, and
    # others were decided before the event of the trip
    await ground.calls(3, cost=40_000)
    alarm = Alarm("cost", "dear", "run_1")

    def trip(tx: Transaction) -> None:
        service.trip(
            tx, "runaway", AGENT, 1, alarm, does="pause", cool_down_seconds=60, reset="probe"
        )

    await ground.store.write(trip)
    before = (await ground.kept())[BREAKER, 1]
    async with ground.watching() as watching:
        await passed(watching, await ground.calls(10, cost=40_000))
        assert watching.remembered(BREAKER, 1) == before, "nothing is counted in while it is open"


async def test_what_cannot_be_read_is_passed_over(ground: Ground) -> None:
    async with ground.watching() as watching:
        await ground.store.write(
            lambda tx: (
                tx.record(
                    "decision.permitted", actor="x", subject="x", agent=AGENT, body={"version": 1}
                )
                and None
            )
        )
        await passed(watching, await ground.calls(31))
        found = watching.remembered(BREAKER, 1)
        assert found is not None
        assert found.costs.calls == 30
