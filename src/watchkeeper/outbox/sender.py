"""Sends what is due: claims it durably first, lets its kind's handler send it, settles it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from watchkeeper.core.chance import SystemChance
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.outbox.model import Attempt, Delivery, Handler, Target
from watchkeeper.outbox.rules import CLAIM_SECONDS
from watchkeeper.outbox.service import claim, next_due, recover, settle
from watchkeeper.store.store import Store
from watchkeeper.wire.deliveries import DeliveryKind

_LOG = logging.getLogger("watchkeeper.outbox.sender")

MOST_AT_ONCE = 64
MOST_PER_TARGET = 4
_LONGEST_SECONDS = CLAIM_SECONDS - 3
_STOP_SECONDS = 3.0


class Sender:
    """The timers of a sweeper (`next_due`, `run_due`): due deliveries.

    An attempt runs beside the others; a target that answers slowly holds up only what is for
    itself. `on_room` is called when an attempt has ended, so that more can be claimed.
    """

    def __init__(self, store: Store, handlers: Mapping[DeliveryKind, Handler]) -> None:
        self.on_room: Callable[[], None] = lambda: None
        self._store = store
        self._handlers = handlers
        self._chance = SystemChance()
        self._held: set[str] = set()
        self._running: Counter[Target] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def next_due(self) -> int | None:
        """Return when something can be sent next, in microseconds, or None."""
        if len(self._held) >= MOST_AT_ONCE:
            return None
        busy, held = self._busy(), frozenset(self._held)
        return await self._store.read(
            lambda tx: next_due(tx, kinds=self._handlers.keys(), busy=busy, held=held)
        )

    async def run_due(self, limit: int) -> int:
        """Begin to send what is due, as far as there is room; return how many were begun."""
        due = await self.next_due()
        if due is None or due > self._store.clock.now():
            return 0
        room = min(limit, MOST_AT_ONCE - len(self._held))
        busy, held = self._busy(), frozenset(self._held)
        together = {kind for kind, one in self._handlers.items() if one.together > 1}
        recovered = await self._store.write(lambda tx: recover(tx, held))
        claimed = await self._store.write(
            lambda tx: claim(
                tx,
                room=room,
                room_per_target=MOST_PER_TARGET,
                kinds=self._handlers.keys(),
                together=together,
                busy=busy,
            )
        )
        for group in self._groups(claimed):
            self._begin(group)
        return recovered + len(claimed)

    async def stop(self) -> None:
        """Let what is being sent end, for a moment; what is cut off is recovered later."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_SECONDS)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _busy(self) -> list[Target]:
        return [
            target
            for target, running in self._running.items()
            if running >= (MOST_PER_TARGET if self._handlers[target[0]].together == 1 else 1)
        ]

    def _groups(self, claimed: Sequence[Delivery]) -> list[list[Delivery]]:
        """Return what is sent in one go: of one kind, target and recipient."""

        def key(one: Delivery) -> tuple[DeliveryKind, str, str]:
            return one.kind, one.target, one.recipient or ""

        groups: list[list[Delivery]] = []
        for (kind, _, _), found in groupby(sorted(claimed, key=key), key):
            most, alike = self._handlers[kind].together, list(found)
            groups += [alike[start : start + most] for start in range(0, len(alike), most)]
        return groups

    def _begin(self, group: list[Delivery]) -> None:
        target: Target = (group[0].kind, group[0].target)
        self._held.update(one.id for one in group)
        self._running[target] += 1
        task = asyncio.get_running_loop().create_task(self._send(group), name="delivery")
        self._tasks.add(task)

        def ended(done: asyncio.Task[None]) -> None:
            self._tasks.discard(done)
            self._held.difference_update(one.id for one in group)
            self._running[target] -= 1
            if not self._running[target]:
                del self._running[target]
            self.on_room()

        task.add_done_callback(ended)

    async def _send(self, group: list[Delivery]) -> None:
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                attempts = await self._handlers[group[0].kind].send(group)
        except TimeoutError:
            attempts = [Attempt("retry", None, "no answer in time")] * len(group)
        except WatchkeeperError as error:
            attempts = [Attempt("retry", None, error.message)] * len(group)
        except Exception:
            _LOG.exception("a delivery to %s failed", group[0].target)
            attempts = [Attempt("retry", None, "sending it failed; see the plane's log")] * len(
                group
            )
        for one, attempt in zip(group, attempts, strict=True):
            try:
                await self._settle(one, attempt)
            except WatchkeeperError as error:
                _LOG.warning("how delivery %s went is not kept: %s", one.id, error)

    async def _settle(self, one: Delivery, attempt: Attempt) -> None:
        fraction = self._chance.fraction()
        await self._store.write(lambda tx: settle(tx, one, attempt, fraction=fraction))
