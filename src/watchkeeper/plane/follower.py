"""Follows committed events and wakes whoever waits for them in this plane."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from watchkeeper.budgets.changes import EVENTS as CAP_EVENTS
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.decide.held.waiting import DECIDED
from watchkeeper.decide.kill.in_force import EVENTS as LOCK_EVENTS
from watchkeeper.oncall.service import EVENTS as OVERRIDES
from watchkeeper.store.journal import Event
from watchkeeper.store.store import Store
from watchkeeper.tools.pins.service import EVENTS as PIN_EVENTS

_LOG = logging.getLogger("watchkeeper.plane.follower")
_RETRY_SECONDS = 1.0


class Follower:
    """Hands decided requests to their waiting callers, new ones to the previews, new timers to
    the sweeper, changes of what is in force and of secrets to the gateways, overrides to the view
    of who is on call, changed caps and locks to the views of what is in force, and signs of life to
    the watch over runs."""

    def __init__(
        self,
        store: Store,
        decided: Callable[[Iterable[str]], None],
        wake: Callable[[], None],
        changed: Callable[[], None],
        created: Callable[[str], None],
        secrets_changed: Callable[[Sequence[str]], None],
        overridden: Callable[[], None],
        recapped: Callable[[], None],
        locked: Callable[[], None],
        happened: Callable[[Sequence[Event]], None],
    ) -> None:
        self._store = store
        self._decided = decided
        self._wake = wake
        self._changed = changed
        self._created = created
        self._secrets_changed = secrets_changed
        self._overridden = overridden
        self._recapped = recapped
        self._locked = locked
        self._happened = happened
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Follow from the newest event on."""
        subscription = self._store.subscribe()

        async def follow() -> None:
            while True:
                try:
                    async for batch in subscription:
                        self._tell(batch)
                    return
                except WatchkeeperError as error:
                    _LOG.warning("the feed cannot be read, which is tried again: %s", error)
                    await asyncio.sleep(_RETRY_SECONDS)

        self._task = asyncio.get_running_loop().create_task(follow(), name="follower")

    def _tell(self, batch: Sequence[Event]) -> None:
        decided = [e.request for e in batch if e.type in DECIDED and e.request]
        self._attempt(self._decided, decided)
        for event in batch:
            if event.type == "request.created" and event.request:
                self._attempt(self._created, event.request)
        if any(e.type.endswith((".applied", ".removed")) or e.type in PIN_EVENTS for e in batch):
            self._attempt(self._changed)
        if secrets := [
            e.subject.removeprefix("secret/")
            for e in batch
            if e.type in ("secret.sealed", "secret.removed")
        ]:
            self._attempt(self._secrets_changed, secrets)
        if any(e.type in OVERRIDES for e in batch):
            self._attempt(self._overridden)
        if any(e.type in CAP_EVENTS for e in batch):
            self._attempt(self._recapped)
        if any(e.type in LOCK_EVENTS for e in batch):
            self._attempt(self._locked)
        if any(e.request is not None or e.type.startswith("lock.") for e in batch):
            self._attempt(self._wake)
        self._attempt(self._happened, batch)

    def _attempt(self, tell: Callable[..., None], *what: object) -> None:
        """Tell one listener; what fails there must not leave the others untold from then on."""
        try:
            tell(*what)
        except Exception:
            _LOG.exception("a follower of the ledger failed")

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
