"""From the ledger's events to the deliveries that they lead to: exactly once, also over a crash."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from watchkeeper.core.errors import Conflict, Unavailable, WatchkeeperError
from watchkeeper.decide.catalogue import Catalogue, CatalogueView
from watchkeeper.outbox.model import NewDelivery
from watchkeeper.outbox.service import enqueue
from watchkeeper.outbox.tables import outbox_cursor
from watchkeeper.store.journal import Event
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

_LOG = logging.getLogger("watchkeeper.decide.notices.routing")

Plan = Callable[[Transaction, Event, Catalogue], Sequence[NewDelivery]]
"""Reads what it needs and returns the deliveries that an event leads to; it changes nothing."""

EVENTS_AT_ONCE = 8
"""How many events are routed in one unit of work, which holds up the event loop."""
_FAR = 2048
"""How many events without a delivery are passed before the cursor is moved for them."""
_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Route:
    """Which events lead to deliveries, and to which."""

    types: frozenset[str]
    """Of the events that `plan` is asked about; the others cost nothing."""
    plan: Plan


class Router:
    """Reads committed events from a durable cursor on and puts what they lead to in the outbox.

    The cursor moves in the unit of work that enqueues: however the plane ends, each event is
    routed once. What commits while no plane runs is routed when one starts.
    """

    def __init__(
        self,
        store: Store,
        view: CatalogueView,
        routes: Iterable[Route],
        on_enqueued: Callable[[], None] = lambda: None,
    ) -> None:
        self.on_enqueued = on_enqueued
        self._store = store
        self._view = view
        self._routes = tuple(routes)
        self._types = frozenset[str]().union(*(route.types for route in self._routes))
        self._saved = 0
        """Where the stored cursor stands."""
        self._passed = 0
        """Up to where every event was looked at."""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Go on where the last plane stopped; the first begins with what happens from now on."""
        await self._load()
        self._task = asyncio.get_running_loop().create_task(self._follow(), name="router")

    async def stop(self) -> None:
        """End; what is routed by then stays so."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            await self._save(self._passed)

    async def _load(self) -> None:
        head = self._store.head
        self._saved = self._passed = await self._store.write(
            lambda tx: outbox_cursor.begin(tx, head)
        )

    async def _follow(self) -> None:
        behind = False
        while True:
            try:
                if behind:
                    await self._load()
                    behind = False
                async for batch in self._store.subscribe(after=self._passed):
                    await self._route(batch)
                return
            except Conflict as error:
                _LOG.warning("routing begins again where another left it: %s", error)
                behind = True
            except WatchkeeperError as error:
                _LOG.warning("events cannot be routed, which is tried again: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _route(self, batch: Sequence[Event]) -> None:
        wanted = [event for event in batch if event.type in self._types]
        for start in range(0, len(wanted), EVENTS_AT_ONCE):
            await self._enqueue(wanted[start : start + EVENTS_AT_ONCE])
        self._passed = batch[-1].sequence
        if self._passed - self._saved >= _FAR:
            await self._save(self._passed)

    async def _enqueue(self, events: Sequence[Event]) -> None:
        try:
            count = await self._store.write(lambda tx: self._plan(tx, events))
        except (Conflict, Unavailable):
            raise
        except Exception as error:
            if len(events) > 1:
                for event in events:
                    await self._enqueue([event])
                return
            _LOG.exception("what event %d leads to is not known", events[0].sequence)
            await self._pass_over(events[0], type(error).__name__)
            count = 0
        self._saved = self._passed = events[-1].sequence
        if count:
            self.on_enqueued()

    def _plan(self, tx: Transaction, events: Sequence[Event]) -> int:
        catalogue, count = self._view.now, 0
        for event in events:
            for route in self._routes:
                if event.type in route.types:
                    for new in route.plan(tx, event, catalogue):
                        enqueue(tx, new)
                        count += 1
        outbox_cursor.move(tx, self._saved, events[-1].sequence)
        return count

    async def _pass_over(self, event: Event, why: str) -> None:
        """Go on after an event whose deliveries cannot be told: the others must not wait for it."""

        def unit(tx: Transaction) -> None:
            outbox_cursor.move(tx, self._saved, event.sequence)
            tx.record(
                "delivery.unrouted",
                actor="plane",
                subject=f"event/{event.sequence}",
                agent=event.agent,
                run=event.run,
                request=event.request,
                body={"event": event.sequence, "text": f"nobody was told of this: {why}"},
            )

        await self._store.write(unit)

    async def _save(self, to: int) -> None:
        if to > self._saved:
            try:
                await self._store.write(lambda tx: outbox_cursor.move(tx, self._saved, to))
                self._saved = to
            except WatchkeeperError as error:
                _LOG.warning("where routing stands is not kept: %s", error)
