"""The breaker's states on a real store, whatever happens in whatever order."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.rig.stores import sqlite_url
from watchkeeper.breakers import rules, service
from watchkeeper.breakers.model import Alarm, Standing
from watchkeeper.core.clock import MICROSECONDS, RehearsalClock
from watchkeeper.core.errors import Conflict, NotFound
from watchkeeper.store import timers
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

COOL = 60
BREAKER = "runaway/bot"
T = TypeVar("T")
ALARM = Alarm("loop", "it loops", "run_1", "digest")


def trip(tx: Transaction) -> Standing | None:
    return service.trip(
        tx, "runaway", "bot", 1, ALARM, does="pause", cool_down_seconds=COOL, reset="probe"
    )


def end(tx: Transaction, decision: str, *, well: bool) -> Standing | None:
    return service.end_probe(
        tx, BREAKER, decision, well=well, why="because", cool_down_seconds=COOL
    )


async def state(store: Store) -> Standing:
    found = await store.read(lambda tx: service.find(tx, BREAKER))
    assert found is not None
    return found


async def test_only_a_closed_one_trips(store: Store) -> None:
    assert await store.write(trip) is not None

    def again(tx: Transaction) -> None:
        tx.silent("nothing is done")
        assert trip(tx) is None

    await store.write(again)
    assert (await state(store)).trips == 1
    assert await store.read(lambda tx: service.trips_of_a_day(tx, BREAKER)) == 1


async def test_one_of_two_probes_is_let_pass(store: Store) -> None:
    await store.write(trip)
    seen = await state(store)
    done = await asyncio.gather(
        *(
            store.write(lambda tx, n=n: service.claim_probe(tx, seen, f"dec_{n}"))  # type: ignore[misc]
            for n in range(5)
        ),
        return_exceptions=True,
    )
    assert sum(one is None for one in done) == 1
    assert sum(isinstance(one, Conflict) for one in done) == 4


async def test_a_probe_that_is_lost_is_given_up_by_its_timer(
    store: Store, clock: RehearsalClock
) -> None:
    await store.write(trip)
    seen = await state(store)
    await store.write(lambda tx: service.claim_probe(tx, seen, "dec_1"))
    (timer,) = await store.read(lambda tx: timers.due(tx, tx.now + 10**12, 5))
    clock.advance(rules.PROBE_SECONDS)
    assert timer.due_at == clock.now()
    assert await store.write(lambda tx: timers.fire(tx, timer, service.HANDLERS))
    found = await state(store)
    assert (found.state, found.probe, found.since) == ("open", None, seen.since)
    assert await store.read(timers.next_due) is None


async def test_a_person_resets_what_is_open_only(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.write(lambda tx: service.reset(tx, BREAKER, by="person/ada", reason="why"))
    await store.write(trip)
    await store.write(lambda tx: service.reset(tx, BREAKER, by="person/ada", reason="why"))
    with pytest.raises(Conflict):
        await store.write(lambda tx: service.reset(tx, BREAKER, by="person/ada", reason="why"))


async def test_what_no_document_covers_is_closed_and_forgotten(store: Store) -> None:
    await store.write(trip)
    await store.write(lambda tx: service.close_outdated(tx, lambda standing: False))
    assert await store.read(service.read_all) == {}


class Breakers(RuleBasedStateMachine):
    """Calls, outcomes, people, timers and ends of the plane in any order."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory()
        self.clock = RehearsalClock(frozen=True)
        self.store = self.run(Store.open(sqlite_url(Path(self.directory.name)), self.clock))
        self.made = 0
        self.probes: set[str] = set()
        """Probes that were let pass and have not ended."""
        self.open = False
        """What the breaker is by what was done to it."""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def write(self, unit: Callable[[Transaction], T]) -> T:
        def quiet(tx: Transaction) -> T:
            tx.silent("perhaps nothing is done")
            return unit(tx)

        return self.run(self.store.write(quiet))

    def standing(self) -> Standing | None:
        return self.run(self.store.read(lambda tx: service.find(tx, BREAKER)))

    @rule()
    def alarm(self) -> None:
        opened = self.write(trip)
        assert (opened is None) == self.open
        self.open = True

    @rule(seconds=st.sampled_from([1, COOL, rules.PROBE_SECONDS]))
    def pass_time(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule()
    def call(self) -> None:
        """A call is decided: refused while open, but for the one that is the probe."""
        self.made += 1
        decision = f"dec_{self.made}"

        def unit(tx: Transaction) -> bool | None:
            for standing in service.not_closed(tx, "bot"):
                at = rules.probes_at(standing, cool_down_seconds=COOL, reset="probe")
                if at is None or at > tx.now:
                    return None
                service.claim_probe(tx, standing, decision)
                return True
            return False

        probe = self.write(unit)
        assert (probe is False) == (not self.open)
        if probe:
            assert not self.probes, "one probe at a time"
            self.probes.add(decision)

    @rule()
    def call_once_it_has_cooled_down(self) -> None:
        self.clock.advance(COOL)
        self.call()

    @rule(well=st.booleans())
    def probe_ends(self, well: bool) -> None:
        for decision in self.probes:
            ended = self.write(partial(end, decision=decision, well=well))
            assert ended is not None
            self.open = not well
        self.probes.clear()

    @rule()
    def a_stranger_ends(self) -> None:
        assert self.write(lambda tx: end(tx, "dec_0", well=True)) is None

    @rule()
    def sweep(self) -> None:
        def unit(tx: Transaction) -> None:
            for timer in timers.due(tx, tx.now, 10):
                timers.fire(tx, timer, service.HANDLERS)
                self.probes.clear()

        self.write(unit)

    @rule()
    def a_person_resets(self) -> None:
        if self.open:
            self.write(lambda tx: service.reset(tx, BREAKER, by="person/ada", reason="why"))
            self.open = False
            self.probes.clear()
            found = self.standing()
            assert found is not None
            assert found.state == "closed"

    @rule()
    def the_plane_ends(self) -> None:
        self.run(self.store.close())
        self.store = self.run(Store.open(sqlite_url(Path(self.directory.name)), self.clock))

    @invariant()
    def it_stands_as_what_was_done_to_it(self) -> None:
        if not hasattr(self, "store"):
            return
        found = self.standing()
        assert (found is not None and found.state != "closed") == self.open
        if found is not None:
            assert (found.state == "half-open") == bool(self.probes)
            assert found.probe == next(iter(self.probes), None)
            due = self.run(self.store.read(timers.next_due))
            assert (due is not None) == bool(self.probes), "a probe that is lost is given up"
            assert due is None or due <= self.clock.now() + rules.PROBE_SECONDS * MICROSECONDS

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.run(self.store.close())
            self.directory.cleanup()
            self.loop.close()


TestBreakers = Breakers.TestCase
TestBreakers.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
