"""The auditor at work: looks at intervals whether everything that waits has its timer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from watchkeeper.approvals.auditing import Audit, find_faults, repair
from watchkeeper.core.addresses import place_of
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.text import make_safe
from watchkeeper.store.store import Store
from watchkeeper.tools.upstreams.egress import Egress
from watchkeeper.tools.upstreams.model import Sending, UpstreamFailure

_LOG = logging.getLogger("watchkeeper.plane.auditor")

AUDIT_SECONDS = 60
_BEAT_SECONDS = 10
_TOLD_SECONDS = 3600
"""How long people are told of what was found and repaired."""


def heartbeat(egress: Egress, url: str) -> Callable[[], Awaitable[None]] | None:
    """Return what tells a service outside that all is well; None where none is set."""
    if not url:
        return None
    at = place_of(url).origin  # the rest of it may be a secret

    async def beat() -> None:
        try:
            async with (
                asyncio.timeout(_BEAT_SECONDS),
                egress.request("GET", url, {}, Sending()) as response,
            ):
                if response.status >= HTTPStatus.BAD_REQUEST:
                    _LOG.warning("the heartbeat was refused by %s: %d", at, response.status)
        except (UpstreamFailure, TimeoutError) as error:
            _LOG.warning("the heartbeat did not reach %s: %s", at, make_safe(str(error), limit=200))

    return beat


class Auditor:
    """Finds and repairs what has no timer; says that all is well to whoever listens outside."""

    def __init__(
        self,
        store: Store,
        wake: Callable[[], None],
        all_well: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._store = store
        self._wake = wake
        self._all_well = all_well
        self._found: tuple[int, Audit] | None = None

    def found(self) -> tuple[int, Audit] | None:
        """Return when something was last wrong and what, for an hour after."""
        if self._found is None:
            return None
        since = self._store.clock.now() - self._found[0]
        return self._found if since <= _TOLD_SECONDS * MICROSECONDS else None

    async def audit(self) -> None:
        """Look at every open request once; set the timers that lack, and wake the sweeper."""
        faults = await self._store.scan(find_faults)
        if not faults.passed:
            self._wake()
            faults = await self._store.write(lambda tx: repair(tx, faults))
        if not faults.passed:
            self._found = (self._store.clock.now(), faults)
            _LOG.error("audit of what waits: %s", faults.words())
            self._wake()
        elif self._all_well is not None:
            await self._all_well()
