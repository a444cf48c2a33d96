"""Tells the ledger in spans, beside all requests, as events come."""

from __future__ import annotations

import asyncio
from functools import partial

from watchkeeper.core.errors import Conflict
from watchkeeper.store.store import Store
from watchkeeper.traces import service
from watchkeeper.traces.keeping import AT_ONCE, KEPT_ALL, Terms, purge, purge_contents

EVENTS_AT_ONCE = 256
"""How many are told in one unit of work: some milliseconds of the event loop."""
FURTHEST_BEHIND = 20_000
"""How many events are told while somebody waits for it: a second or two."""
_PAUSE_SECONDS = 0.01
"""What the event loop has for others between two units."""


class Projector:
    """Follows the ledger from where it stood; several planes share one cursor."""

    def __init__(
        self, store: Store, terms: Terms = KEPT_ALL, *, events_at_once: int = EVENTS_AT_ONCE
    ) -> None:
        self._store = store
        self.terms = terms
        self._at_once = events_at_once
        self._following = asyncio.Lock()
        self._told = 0
        self._ended = False

    @property
    def told(self) -> int:
        """The last event that this plane knows to be told in spans."""
        return self._told

    async def start(self) -> None:
        """Look where it stands; the first plane begins with the first event."""
        self._told = await self._store.write(service.begin)

    async def catch_up(self) -> int:
        """Tell every event that is committed by now, for who reads; return the last that is told.

        Where it is far behind, as after an upgrade, nobody waits for it: less is told then.
        """
        if self._store.head - self._told <= FURTHEST_BEHIND:
            await self.follow()
        return self._told

    async def follow(self) -> None:
        """Tell every event that is committed by now."""
        head = self._store.head
        async with self._following:
            while self._told < head and not self._ended:
                await self._step()
                if self._told < head:
                    await asyncio.sleep(_PAUSE_SECONDS)

    async def stop(self) -> None:
        """Tell no more; return once what was begun is stored. The next plane goes on there."""
        self._ended = True
        async with self._following:
            pass

    async def purge(self) -> None:
        """Forget what was kept for long enough."""
        for forget in (purge, purge_contents):
            gone = AT_ONCE
            while gone == AT_ONCE:
                gone = await self._store.write(partial(forget, terms=self.terms))
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _step(self) -> None:
        ahead = await self._store.read(lambda tx: service.look_ahead(tx, self._at_once))
        if ahead.events:
            told = service.tell(ahead, self.terms)
            try:
                await self._store.write(lambda tx: service.keep(tx, ahead, told))
            except Conflict as error:
                if error.code != "followed_elsewhere":
                    raise
                return  # another plane told them
            self._told = ahead.events[-1].sequence
        else:
            self._told = max(self._told, ahead.after)
