"""What others are told, put together: events are routed, what is due is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from watchkeeper.core.clock import Clock, RehearsalClock
from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.decide.notices.routing import Route, Router
from watchkeeper.outbox.model import Handler
from watchkeeper.outbox.sender import Sender
from watchkeeper.plane.sweeper import Sweeper
from watchkeeper.store.store import Store
from watchkeeper.wire.deliveries import DeliveryKind


class Deliveries:
    """The router with the sender behind it; neither asks the store while nothing happens."""

    def __init__(
        self,
        store: Store,
        view: CatalogueView,
        clock: Clock,
        routes: Iterable[Route],
        handlers: Mapping[DeliveryKind, Handler],
    ) -> None:
        self._clock = clock
        self._sender = Sender(store, handlers)
        self._sweeper = Sweeper(self._sender, clock)
        self._router = Router(store, view, routes, on_enqueued=self._sweeper.wake)
        self._sender.on_room = self._sweeper.wake

    async def start(self) -> None:
        """Begin to route and to send."""
        await self._router.start()
        self._sweeper.start()
        if isinstance(self._clock, RehearsalClock):
            self._clock.on_advance(lambda now: self._sweeper.wake())

    def wake(self) -> None:
        """Look again: a person had something sent again."""
        self._sweeper.wake()

    async def stop(self) -> None:
        """Route and send nothing more; what is being sent may end."""
        await self._router.stop()
        await self._sweeper.stop()
        await self._sender.stop()
