"""Running due timers on a store, as the plane does."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from watchkeeper.store import timers
from watchkeeper.store.store import Store
from watchkeeper.store.timers import Handler


async def sweep(store: Store, handlers: Mapping[str, Handler], *, most: int = 200) -> int:
    """Run every timer that is due, each in a unit of its own; return how many ran."""
    ran = 0
    while due := await store.read(lambda tx: timers.due(tx, tx.now, most)):
        for timer in due:
            ran += await store.write(partial(timers.fire, timer=timer, handlers=handlers))
    return ran
