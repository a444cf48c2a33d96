"""What a plane takes for the locks in force, and what it keeps of them and of their parties."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from tests.gateways.ground import open_edge
from tests.kill.guarded import Guarded
from tests.rig.deadline import eventually_async
from tests.rig.stores import sqlite_url
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Unavailable
from watchkeeper.decide.kill.confirming import CONFIRM_SECONDS
from watchkeeper.decide.kill.cutting import Calls
from watchkeeper.decide.kill.effector import Done
from watchkeeper.decide.kill.effects import Reach
from watchkeeper.kill.model import LockInForce, LockTarget, NewLock
from watchkeeper.kill.receipts import receipts_of
from watchkeeper.kill.service import list_locks, put_in_force
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Ask
from watchkeeper.wire.locks import Effect

T = TypeVar("T")
CLERK = LockTarget("agent", "clerk")


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    async with await Store.open(sqlite_url(tmp_path), RehearsalClock(frozen=True)) as store:
        yield await Guarded.open(store)


async def of_another_writer(guarded: Guarded) -> Guarded:
    """Deciding parts over the same store: what they commit, the first ones do not see come."""
    return await Guarded.open(guarded.store)


async def test_a_lock_whose_commit_was_not_answered_is_found_and_cuts(guarded: Guarded) -> None:
    run = await guarded.open_run()
    permit = await guarded.decider.decide(run.token, Ask(name="books.read"), performer="plane")
    cut: list[str] = []
    flight = guarded.decider.in_flight(permit.decision, lambda: cut.append(permit.decision))
    with flight:
        lock = await (await of_another_writer(guarded)).lock("agent", "clerk")
        assert guarded.decider.locks == ()
        guarded.kill.view.follow()

        async def found() -> bool:
            return [one.lock for one in guarded.decider.locks] == [lock]

        await eventually_async(found, "it is found")
        assert cut == [permit.decision]
    other = await of_another_writer(guarded)
    await other.kill.lift(lock, reason="over", by="person/bob")
    guarded.kill.view.follow()

    async def gone() -> bool:
        return guarded.decider.locks == ()

    await eventually_async(gone, "its end is found")


async def test_nothing_is_permitted_while_the_locks_in_force_cannot_be_read(
    guarded: Guarded,
) -> None:
    run = await guarded.open_run()
    permit = await guarded.decider.decide(run.token, Ask(name="books.read"), performer="plane")
    guarded.kill.view.doubt()
    with pytest.raises(Unavailable, match="nothing is permitted") as refused:
        await guarded.ask(run.token)
    assert refused.value.rule == "store/bound"
    with guarded.decider.in_flight(permit.decision, lambda: None) as flight:
        assert flight.cancelled == "unread", "a permit of before is not carried out"

    async def permits() -> bool:
        return not guarded.decider.unread

    await eventually_async(permits, "they are read")
    assert (await guarded.ask(run.token)).verdict == "permit"

    await guarded.store.close()
    with pytest.raises(Unavailable):
        await guarded.lock("agent", "clerk")
    with pytest.raises(Unavailable, match="nothing is permitted"):
        await guarded.ask(run.token)
    await guarded.kill.stop()


class Held(Store):
    """Answers what was asked of it once it is let."""

    let: asyncio.Event | None = None
    asked = 0

    async def read(self, query: Callable[[Transaction], T]) -> T:
        """Read now, and answer later."""
        found = await super().read(query)
        self.asked += 1
        if self.let is not None:
            await self.let.wait()
        return found


async def test_a_lock_that_comes_while_the_locks_are_read_is_kept(tmp_path: Path) -> None:
    async with await Held.open(sqlite_url(tmp_path), RehearsalClock(frozen=True)) as store:
        guarded = await Guarded.open(store)
        store.let, before = asyncio.Event(), store.asked
        guarded.kill.view.follow()

        async def asked() -> bool:
            return store.asked > before

        await eventually_async(asked, "they were read, without it")
        lock = await guarded.lock("agent", "clerk")
        store.let.set()

        async def read_again() -> bool:
            return store.asked > before + 1

        await eventually_async(read_again, "they are read once more")
        assert [one.lock for one in guarded.decider.locks] == [lock]


async def test_every_lock_in_force_is_listed_however_many(guarded: Guarded) -> None:
    def unit(tx: Transaction) -> None:
        for number in range(205):
            target = LockTarget("run", f"run_{number}")
            put_in_force(tx, NewLock(target, mode="pause", reason="odd", by="person/ada"))

    await guarded.store.write(unit)
    rows = await guarded.store.read(lambda tx: list_locks(tx, in_force=True))
    assert len(rows) == 205


async def test_a_stop_waits_for_what_another_lock_cut_too(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchkeeper.decide.kill.cutting._END_SECONDS", 0.02)
    run = await guarded.open_run()
    flights = guarded.decider.flights
    names = []
    for _ in range(2):
        permit = await guarded.decider.decide(run.token, Ask(name="books.read"), performer="plane")
        names.append(permit.decision)
    with flights.fly(names[0], lambda: None, lambda _: None):
        flights.cut(LockTarget("run", run.run), "lock_1")
        with flights.fly(names[1], lambda: None, lambda _: None):
            flights.cut(CLERK, "lock_2")
            lock = LockInForce("lock_2", CLERK, "stop", "odd", "person/ada", 2, 0)
        said = await Calls(guarded.decider).carry_out(lock, "calls")
    assert said.detail == "cut: 2; not ended yet: 1"
    assert said.acknowledged is None


async def test_an_upstream_whose_lock_was_lifted_meanwhile_is_not_shut_off(tmp_path: Path) -> None:
    lock = LockInForce("lock_1", LockTarget("upstream", "books"), "stop", "odd", "a", 1, 0)
    async with open_edge(tmp_path) as edge:
        said = await edge.gateways.stops.carry_out(lock, "upstream/books")
        assert (said.detail, said.acknowledged) == (
            "the lock was lifted before it was shut off", "plane",
        )  # fmt: skip
        assert not edge.gateways.pool.shut


class Slow:
    """A party that answers when it is told to, and then that it could not."""

    effect: Effect = "stop run"
    kind = "slow"
    pauses = False

    def __init__(self) -> None:
        self.answer = asyncio.Event()

    def parties(self, tx: Transaction, lock: LockInForce, reach: Reach) -> Sequence[str]:
        """There is one."""
        return ("slow/one",)

    async def carry_out(self, lock: LockInForce, party: str) -> Done:
        """Wait, then refuse."""
        await self.answer.wait()
        return Done("busy")


async def test_a_party_that_answers_after_the_alarm_is_not_alarmed_of_again(
    guarded: Guarded,
) -> None:
    slow = Slow()
    guarded.kill.effectors.add(slow)
    lock = await guarded.lock("agent", "clerk")
    clock = guarded.store.clock
    assert isinstance(clock, RehearsalClock)
    clock.advance(CONFIRM_SECONDS + 1)
    await guarded.sweep()
    slow.answer.set()

    async def answered() -> bool:
        rows = await guarded.store.read(lambda tx: receipts_of(tx, lock))
        return any(row.detail == "busy" for row in rows)

    await eventually_async(answered, "it answered")
    clock.advance(60)
    await guarded.sweep()
    ((many,),) = await guarded.rows("select count(*) from events where type = 'lock.unconfirmed'")
    assert many == 1
    await guarded.kill.stop()


async def test_reasons_are_kept_without_secrets(guarded: Guarded) -> None:
    secret = "sk-ant-api03-" + "a1B2" * 20
    made, _ = await guarded.kill.lock(
        NewLock(CLERK, mode="pause", reason=f"leaked {secret}", by="person/ada")
    )
    await guarded.kill.lift(made.lock, reason=f"turned {secret}", by="person/bob")
    bodies = await guarded.rows("select body from events where type like 'lock.%'")
    assert len(bodies) == 2
    assert secret not in str(bodies)
    assert secret not in made.reason
    assert secret not in str(await guarded.rows("select reason from locks"))
