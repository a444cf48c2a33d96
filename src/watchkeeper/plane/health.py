"""Whether the store can be written, and whether the loop keeps time."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from time import perf_counter

from sqlalchemy import text

from watchkeeper.api.rooms import Rooms
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.store.transaction import Transaction

PROBE_SECONDS = 10
LEAST_FREE_BYTES = 8 << 20
_LAG_PROBE_SECONDS = 0.05


class Health:
    """Watches the store and the loop; what it found last is what `/readyz` tells."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.store = "ok"

    async def probe(self, rooms: Rooms) -> None:
        """Look once."""
        self.store = await self._probe_store(rooms)
        began = perf_counter()
        await asyncio.sleep(_LAG_PROBE_SECONDS)
        rooms.lag_ms = max(0.0, (perf_counter() - began - _LAG_PROBE_SECONDS) * 1000)

    async def _probe_store(self, rooms: Rooms) -> str:
        space = os.statvfs(self._directory)
        if space.f_bavail * space.f_frsize < LEAST_FREE_BYTES:
            return "disk_full"
        try:
            await rooms.store.write(_touch)
        except WatchkeeperError as error:
            return error.code
        return "ok"


def _touch(tx: Transaction) -> None:
    tx.silent("a probe changes nothing")
    tx.connection.execute(text("UPDATE ledger_head SET sequence = sequence WHERE id = -1"))
