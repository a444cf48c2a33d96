"""Running due timers on a store, as the plane does."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from watchkeeper.health.service import RUN
from watchkeeper.store import timers
from watchkeeper.store.store import Store
from watchkeeper.store.timers import Handler
from watchkeeper.store.transaction import Transaction


def _pass_over(tx: Transaction, ref: str, due_at: int) -> None:
    tx.silent("this ground does not watch over runs")


async def sweep(store: Store, handlers: Mapping[str, Handler], *, most: int = 200) -> int:
    """Run every timer that is due, each in a unit of its own; return how many ran.

    Without a handler for it, no run is looked at.
    """
    ran = 0
    handlers = {RUN: _pass_over, **handlers}
    while due := await store.read(lambda tx: timers.due(tx, tx.now, most)):
        for timer in due:
            ran += await store.write(partial(timers.fire, timer=timer, handlers=handlers))
    return ran
