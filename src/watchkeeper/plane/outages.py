"""Records in the ledger when an upstream goes down or comes back."""

from __future__ import annotations

import asyncio
import logging

from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.store.store import Store

_LOG = logging.getLogger("watchkeeper.plane.outages")


class Outages:
    """Writes one event for each change of an upstream's state."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tasks: set[asyncio.Task[None]] = set()

    def changed(self, name: str, state: str, detail: str) -> None:
        """Record a change, without holding up who noticed it."""
        task = asyncio.get_running_loop().create_task(self._record(name, state, detail))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait until everything noticed is recorded."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _record(self, name: str, state: str, detail: str) -> None:
        text = f"{name} is {state}" + (f": {detail}" if detail else "")
        try:
            await self._store.write(
                lambda tx: tx.record(
                    "upstream.state",
                    actor="plane",
                    subject=f"upstream/{name}",
                    body={"state": state, "detail": detail, "text": text},
                )
            )
        except WatchkeeperError as error:
            _LOG.warning("%s could not be recorded: %s", text, error)
