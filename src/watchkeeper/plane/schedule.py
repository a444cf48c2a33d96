"""What recurs: housekeeping on APScheduler, beside the timers that the store keeps."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC
from typing import Any

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.decide.activity import purge_activity
from watchkeeper.decide.held.deferred import purge_deferred
from watchkeeper.decide.repeats import AT_ONCE, purge_calls
from watchkeeper.decide.runs.children import expire_runs
from watchkeeper.identity.purging import purge_expired
from watchkeeper.notices.service import purge as purge_notices
from watchkeeper.outbox import service as outbox
from watchkeeper.store.store import Store
from watchkeeper.tools.rates.service import purge as purge_rates
from watchkeeper.traces.telemetry import rows as reported
from watchkeeper.traces.telemetry import usage

_LOG = logging.getLogger("watchkeeper.plane.schedule")
Job = Callable[[], Awaitable[object]]

_GUARD_SECONDS = 20
_PURGE_SECONDS = 3600
_FORGET_SECONDS = 60
_KEPT_SECONDS = 86_400
"""How long an expired token is kept, so that its refusal can still name its run."""
_SUMMED_SECONDS = 2 * 86_400
"""How long sums of activity are kept; screens show those of a day."""
_REPORTED_SECONDS = 30 * 86_400
"""How long a call that an agent reported is known: spans of a week ago are taken still."""
_DELIVERED_SECONDS = 30 * 86_400
"""How long a delivery that arrived or was discarded is listed; the ledger keeps how it went."""


class Schedule:
    """Runs jobs at intervals in the plane's loop; a missed run is made up once, not dropped."""

    def __init__(self) -> None:
        # imported here: the command line imports this package's settings without it
        from apscheduler.executors.asyncio import AsyncIOExecutor
        from apscheduler.jobstores.memory import MemoryJobStore
        from apscheduler.schedulers.asyncio import AsyncIOScheduler

        self._scheduler: Any = AsyncIOScheduler(
            jobstores={"default": MemoryJobStore()},
            executors={"default": AsyncIOExecutor()},
            job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1},
            timezone=UTC,
        )

    def every(self, seconds: float, name: str, job: Job) -> None:
        """Run `job` every so many seconds; its failure is logged and ends nothing."""

        async def run() -> None:
            try:
                await job()
            except WatchkeeperError as error:
                _LOG.warning("%s: %s", name, error)
            except Exception:
                _LOG.exception("%s failed", name)

        self._scheduler.add_job(run, "interval", seconds=seconds, id=name, name=name)

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def stop(self) -> None:
        """End; what runs now is not waited for."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)


def plan_housekeeping(schedule: Schedule, store: Store, wake: Callable[[], None]) -> None:
    """Put the plane's own recurring work on the schedule."""

    async def guard() -> None:
        wake()

    async def purge() -> None:
        kept = _KEPT_SECONDS * MICROSECONDS
        await store.write(lambda tx: purge_expired(tx, tx.now - kept))
        await store.write(lambda tx: expire_runs(tx, tx.now - kept))
        await store.write(lambda tx: purge_activity(tx, tx.now - _SUMMED_SECONDS * MICROSECONDS))
        await store.write(lambda tx: purge_notices(tx, tx.now - kept))
        await store.write(purge_rates)

    async def forget_calls() -> None:
        while await store.write(purge_calls) == AT_ONCE:
            pass
        while await store.write(purge_deferred) == AT_ONCE:
            pass

    async def forget_reported() -> None:
        before = store.clock.now() - _REPORTED_SECONDS * MICROSECONDS
        while await store.write(lambda tx: reported.purge_calls(tx, before)) == reported.AT_ONCE:
            pass
        await store.write(lambda tx: usage.purge(tx, before))

    async def forget_deliveries() -> None:
        before = store.clock.now() - _DELIVERED_SECONDS * MICROSECONDS
        while await store.write(lambda tx: outbox.purge(tx, before)) == outbox.AT_ONCE:
            pass

    schedule.every(_FORGET_SECONDS, "purge of results kept for retries", forget_calls)
    schedule.every(_GUARD_SECONDS, "guard of the sweeper", guard)
    schedule.every(_PURGE_SECONDS, "purge of what has expired", purge)
    schedule.every(_PURGE_SECONDS, "purge of what agents reported", forget_reported)
    schedule.every(_PURGE_SECONDS, "purge of what was delivered", forget_deliveries)
