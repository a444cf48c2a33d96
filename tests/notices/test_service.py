"""Slots as they are stored, on both engines: taken once, given back, counted in."""

from __future__ import annotations

import asyncio

from watchkeeper.core.clock import MICROSECONDS, RehearsalClock
from watchkeeper.notices.rules import GATHER_SECONDS, URGENT_SECONDS
from watchkeeper.notices.service import (
    count_in,
    counted,
    give_back,
    purge,
    take_slot,
    told_lately,
)
from watchkeeper.store.store import Store


async def take(
    store: Store, who: str = "ada", *, channel: str = "pager", urgent: bool = False, most: int = 30
) -> str | int:
    return await store.write(
        lambda tx: take_slot(tx, channel, who, urgent=urgent, most_per_hour=most)
    )


async def test_one_message_at_a_time_to_one_person(store: Store, clock: RehearsalClock) -> None:
    now = clock.now()
    assert isinstance(await take(store), str)
    assert await take(store) == now + GATHER_SECONDS * MICROSECONDS
    assert isinstance(await take(store, "bob"), str), "another person is told at once"
    assert isinstance(await take(store, channel="mail"), str), "and so is another channel"
    clock.advance(GATHER_SECONDS)
    assert isinstance(await take(store), str)


async def test_of_many_at_once_one_gets_the_slot(store: Store) -> None:
    found = await asyncio.gather(*(take(store) for _ in range(20)))
    assert sum(isinstance(one, str) for one in found) == 1


async def test_an_urgent_one_goes_before_its_time(store: Store, clock: RehearsalClock) -> None:
    assert isinstance(await take(store, most=1), str)
    assert isinstance(await take(store, urgent=True, most=1), str)
    at = await take(store, urgent=True, most=1)
    assert at == clock.now() + URGENT_SECONDS * MICROSECONDS


async def test_an_hour_has_room_for_so_many(store: Store, clock: RehearsalClock) -> None:
    for who in ("ada", "bob", "grace"):
        assert isinstance(await take(store, who, most=3), str)
        clock.advance(5)
    full = await take(store, "edsger", most=3)
    assert isinstance(full, int)
    assert full == clock.now() + (3600 - 15) * MICROSECONDS
    clock.advance(3600 - 15)
    assert isinstance(await take(store, "edsger", most=3), str)


async def test_what_was_not_sent_takes_no_room(store: Store) -> None:
    slot = await take(store)
    assert isinstance(slot, str)
    await store.write(lambda tx: count_in(tx, slot, ["msg_1", "msg_2"]))
    await store.write(lambda tx: give_back(tx, slot))
    assert isinstance(await take(store), str)
    assert not await store.read(lambda tx: counted(tx, ["msg_1", "msg_2"]))


async def test_what_was_counted_in_is_known_until_it_is_purged(
    store: Store, clock: RehearsalClock
) -> None:
    slot = await take(store)
    assert isinstance(slot, str)
    for _ in range(2):
        await store.write(lambda tx: count_in(tx, slot, ["msg_1"]))
    assert await store.read(lambda tx: counted(tx, ["msg_1", "msg_2"])) == {"msg_1"}
    told = await store.read(told_lately)
    assert told == {"pager": (1, clock.now())}
    clock.advance(7200)
    assert not await store.read(told_lately)
    await store.write(lambda tx: purge(tx, tx.now))
    assert not await store.read(lambda tx: counted(tx, ["msg_1"]))
