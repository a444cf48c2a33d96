from __future__ import annotations

from functools import partial

import pytest

from watchkeeper.core.clock import RehearsalClock
from watchkeeper.store import timers
from watchkeeper.store.store import Store
from watchkeeper.store.timers import Timer
from watchkeeper.store.transaction import Transaction

S = 1_000_000


async def put(store: Store, kind: str, ref: str, due_at: int) -> None:
    def unit(tx: Transaction) -> None:
        tx.silent("a test sets a timer")
        timers.schedule(tx, kind, ref, due_at)

    await store.write(unit)


async def due(store: Store, limit: int = 10) -> list[Timer]:
    return await store.read(lambda tx: timers.due(tx, tx.now, limit))


async def test_due_timers_come_in_their_order_and_bounded(
    store: Store, clock: RehearsalClock
) -> None:
    now = clock.now()
    for ref, seconds in (("c", 3), ("a", 1), ("later", 9), ("b", 2)):
        await put(store, "k", ref, now + seconds * S)
    assert await due(store) == []
    assert await store.read(timers.next_due) == now + S
    clock.advance(3)
    assert [timer.ref for timer in await due(store)] == ["a", "b", "c"]
    assert [timer.ref for timer in await due(store, 2)] == ["a", "b"]


async def test_one_timer_for_each_kind_and_ref(store: Store, clock: RehearsalClock) -> None:
    now = clock.now()
    await put(store, "k", "a", now)
    await put(store, "k", "a", now - S)
    await put(store, "other", "a", now)
    assert [(t.kind, t.due_at) for t in await due(store)] == [("k", now - S), ("other", now)]

    def unit(tx: Transaction) -> None:
        tx.silent("a test")
        timers.ensure(tx, "k", "a", now + S)  # leaves the one that is set
        timers.ensure(tx, "k", "b", now)
        timers.cancel(tx, "other", "a")
        timers.cancel(tx, "other", "none")

    await store.write(unit)
    assert [(t.kind, t.ref) for t in await due(store)] == [("k", "a"), ("k", "b")]


async def test_handler_and_end_of_its_timer_are_one_unit(
    store: Store, clock: RehearsalClock
) -> None:
    handled: list[tuple[str, int]] = []

    def again(tx: Transaction, ref: str, due_at: int) -> None:
        tx.silent("a test")
        handled.append((ref, due_at))
        if due_at < clock.now():
            timers.schedule(tx, "k", ref, due_at + S)

    now = clock.now()
    await put(store, "k", "a", now - S)
    (first,) = await due(store)
    assert await store.write(partial(timers.fire, timer=first, handlers={"k": again}))
    assert not await store.write(partial(timers.fire, timer=first, handlers={"k": again}))
    (second,) = await due(store)
    assert await store.write(partial(timers.fire, timer=second, handlers={"k": again}))
    assert handled == [("a", now - S), ("a", now)]
    assert await due(store) == []


async def test_failing_handler_leaves_its_timer_which_can_be_put_off(
    store: Store, clock: RehearsalClock
) -> None:
    await put(store, "k", "a", clock.now())
    (timer,) = await due(store)
    with pytest.raises(KeyError):
        await store.write(partial(timers.fire, timer=timer, handlers={}))
    assert await due(store) == [timer]
    await store.write(partial(timers.postpone, timer=timer, due_at=clock.now() + S))
    assert await due(store) == []
    clock.advance(1)
    (later,) = await due(store)
    assert (later.id, later.attempts) == (timer.id, 1)
