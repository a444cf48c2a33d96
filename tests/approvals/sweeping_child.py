"""A process that sweeps a store's timers again and again, beside others, until none is due."""

from __future__ import annotations

import asyncio
import sys

from watchkeeper.approvals.timers import HANDLERS
from watchkeeper.core.clock import SystemClock
from watchkeeper.core.errors import Conflict
from watchkeeper.plane.timers import StoredTimers
from watchkeeper.store.store import Store

AT_ONCE = 7
TRIES = 5000


async def run(url: str) -> None:
    """Sweep in small batches; where only one process may write at a time, take turns."""
    for _ in range(TRIES):
        try:
            async with await Store.open(url, SystemClock(), migrate=False) as store:
                for _ in range(3):
                    if not await StoredTimers(store, HANDLERS).run_due(AT_ONCE):
                        return
        except Conflict:
            await asyncio.sleep(0)
    raise SystemExit("never came to write")


if __name__ == "__main__":
    sys.stdin.read(1)
    asyncio.run(run(sys.argv[1]))
