"""Each event is routed once: over crashes, beside another router, past a plan that fails."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest

from tests.rig.deadline import eventually_async
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Conflict, Unavailable
from watchkeeper.decide.catalogue import Catalogue, CatalogueView, build_catalogue
from watchkeeper.decide.notices import routing
from watchkeeper.decide.notices.routing import Route, Router
from watchkeeper.outbox.model import NewDelivery
from watchkeeper.outbox.reading import list_deliveries
from watchkeeper.outbox.tables import outbox_cursor
from watchkeeper.store.journal import Event
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

T = TypeVar("T")
VIEW = CatalogueView(build_catalogue({}))


def plan(tx: Transaction, event: Event, catalogue: Catalogue) -> Sequence[NewDelivery]:
    """Two callbacks for each event; none for what is spoilt."""
    if "spoilt" in event.body_text:
        raise ValueError("this cannot be said")
    return [
        NewDelivery(kind="webhook", target=target, payload=str(event.sequence)) for target in "ab"
    ]


ROUTE = Route(frozenset({"thing.happened"}), plan)


def router(store: Store) -> Router:
    return Router(store, VIEW, [ROUTE])


async def happen(store: Store, count: int, *, type_: str = "thing.happened", **body: str) -> None:
    def unit(tx: Transaction) -> None:
        for _ in range(count):
            tx.record(type_, actor="plane", subject="thing/1", body=body)

    await store.write(unit)


async def routed(store: Store) -> Counter[tuple[str, str]]:
    found = await store.read(lambda tx: list_deliveries(tx, limit=500))
    return Counter((one.target, one.payload) for one in found)


async def all_routed(store: Store, count: int) -> Counter[tuple[str, str]]:
    async def enough() -> Counter[tuple[str, str]] | None:
        found = await routed(store)
        return found if len(found) >= count else None

    return await eventually_async(enough, f"{count} deliveries")


async def test_what_happens_from_the_first_start_on_is_routed(store: Store) -> None:
    await happen(store, 3)
    one = router(store)
    await one.start()
    await happen(store, 2)
    found = await all_routed(store, 4)
    await one.stop()
    assert set(found) == {(target, str(n)) for target in "ab" for n in (4, 5)}


async def test_crashes_at_any_moment_neither_lose_nor_repeat(store: Store) -> None:
    first = router(store)
    await first.start()
    await first.stop()
    start = store.head
    total = 0
    for number in range(25):
        dying = router(store)
        await dying.start()
        await happen(store, 4)
        total += 4
        for _ in range(number):
            await asyncio.sleep(0)
        # it ends where it happens to be, and says nothing more
        task = dying._task
        assert task is not None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    last = router(store)
    await last.start()
    found = await all_routed(store, 2 * total)
    await last.stop()
    assert set(found.values()) == {1}
    assert {payload for _, payload in found} == {str(start + n) for n in range(1, total + 1)}


async def test_two_routers_route_as_one(store: Store) -> None:
    both = [router(store), router(store)]
    for one in both:
        await one.start()
    for _ in range(10):
        await happen(store, 5)
    found = await all_routed(store, 100)
    for one in both:
        await one.stop()
    assert set(found.values()) == {1}


class Failing(Store):
    """A store that is unavailable for the write after one that conflicts."""

    fails = False

    async def write(
        self, unit: Callable[[Transaction], T], *, patience: float = 0, durable: bool = True
    ) -> T:
        if self.fails:
            self.fails = False
            raise Unavailable("the store cannot write")
        try:
            return await super().write(unit, patience=patience, durable=durable)
        except Conflict:
            self.fails = True
            raise


async def test_it_goes_on_where_the_store_fails_just_after_another_routed(
    database_url: str, clock: RehearsalClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routing, "_RETRY_SECONDS", 0)

    def elsewhere(tx: Transaction) -> None:
        tx.record("thing.happened", actor="plane", subject="thing/1", body={})
        outbox_cursor.move(tx, 0, 1)

    async with await Failing.open(database_url, clock) as store:
        one = router(store)
        await one.start()
        await store.write(elsewhere)
        await happen(store, 2)
        found = await all_routed(store, 4)
        await one.stop()
    assert set(found.values()) == {1}
    assert {payload for _, payload in found} == {"2", "3"}


async def test_a_plan_that_fails_holds_up_nothing_and_is_on_record(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    one = router(store)
    await one.start()
    await happen(store, 2)
    await happen(store, 1, text="spoilt")
    await happen(store, 2)
    found = await all_routed(store, 8)
    assert set(found.values()) == {1}
    events = store.subscribe(after=0)

    async def skipped() -> Event | None:
        async for batch in events:
            for event in batch:
                if event.type == "delivery.unrouted":
                    return event
        return None

    event = await asyncio.wait_for(skipped(), 20)
    assert event is not None
    assert event.subject == "event/3"
    assert "what event 3 leads to" in caplog.text
    await one.stop()


async def test_events_that_lead_nowhere_are_passed_and_the_cursor_follows(store: Store) -> None:
    one = router(store)
    await one.start()
    await happen(store, 2100, type_="nothing.much")
    await happen(store, 1)
    await all_routed(store, 2)
    await one.stop()
    again = router(store)
    await again.start()
    await happen(store, 1)
    found = await all_routed(store, 4)
    await again.stop()
    assert set(found.values()) == {1}
