from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.rig.stores import empty_sqlite_url
from tests.store.ground import ACTOR, put
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.store import feed
from watchkeeper.store.feed import Subscription
from watchkeeper.store.store import Store


async def collect(subscription: Subscription, count: int) -> list[int]:
    """The sequences of at least `count` events."""
    found: list[int] = []
    async for batch in subscription:
        found += [event.sequence for event in batch]
        if len(found) >= count:
            return found
    return found


async def test_events_arrive_as_they_were_recorded(store: Store) -> None:
    subscription = store.subscribe()
    await store.write(
        lambda tx: tx.record(
            "account.put",
            actor=ACTOR,
            subject="é",
            run="r",
            agent="a",
            request="q",
            body={"b": [1]},
        )
    )
    (event,) = await anext(subscription)
    assert event[:4] == (1, event.at, "account.put", ACTOR)
    assert (event.subject, event.agent, event.run, event.request) == ("é", "a", "r", "q")
    assert event.body == {"b": [1]}


async def test_failed_units_are_never_seen(store: Store) -> None:
    subscription = store.subscribe()
    await asyncio.gather(
        store.write(put("a")),
        store.write(put("bad", then=ValueError("no"))),
        store.write(put("b")),
        return_exceptions=True,
    )
    assert [event.subject for event in await anext(subscription)] == ["a", "b"]


async def test_every_reader_gets_all_from_where_it_starts(store: Store) -> None:
    await asyncio.gather(*(store.write(put("a")) for _ in range(30)))
    readers = [store.subscribe(), store.subscribe(after=0), store.subscribe(after=25)]
    waiting = [
        asyncio.ensure_future(collect(reader, count))
        for reader, count in zip(readers, (20, 50, 25), strict=True)
    ]
    for _ in range(20):
        await store.write(put("a"))
    assert await asyncio.gather(*waiting) == [
        list(range(31, 51)),
        list(range(1, 51)),
        list(range(26, 51)),
    ]


async def test_slow_reader_catches_up_from_the_store_and_memory_stays_bounded(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "RECENT_EVENTS", 16)
    monkeypatch.setattr(feed, "EVENTS_AT_ONCE", 7)
    slow = store.subscribe()
    for _ in range(100):
        await store.write(put("a"))
    assert len(store._feed._recent) <= 32
    assert await collect(slow, 100) == list(range(1, 101))


async def test_reader_resumes_over_a_restart(database_url: str, clock: RehearsalClock) -> None:
    async with await Store.open(database_url, clock) as first:
        await first.write(put("a"))
        subscription = first.subscribe()
        waiting = asyncio.ensure_future(collect(subscription, 99))
        await first.write(put("b"))
        await first.close()
        assert await waiting == [2]
    async with await Store.open(database_url, clock) as second:
        assert await collect(second.subscribe(after=1), 1) == [2]


async def test_reader_behind_another_processes_writes_misses_nothing(
    tmp_path: Path, clock: RehearsalClock
) -> None:
    """On SQLite: on PostgreSQL a lock keeps the second writer out."""
    url = empty_sqlite_url(tmp_path)
    async with (
        await Store.open(url, clock) as one,
        await Store.open(url, clock) as two,
    ):
        reader = one.subscribe()
        assert await one.write(put("a")) == 1
        assert await two.write(put("b")) == 2
        assert await one.write(put("c")) == 3
        assert await collect(reader, 3) == [1, 2, 3]
