"""A plane that runs: its ordered start and stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from functools import partial

from watchkeeper.api.rooms import Rooms
from watchkeeper.budgets import history
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.decide.erasing.keeping import purge_vault
from watchkeeper.decide.held.previews import Previews
from watchkeeper.decide.runs.unsettled import recover
from watchkeeper.gateways.composition import Gateways
from watchkeeper.ledger.anchors.service import name_of
from watchkeeper.ledger.log import LOOK_SECONDS
from watchkeeper.plane.anchors import WayOut
from watchkeeper.plane.auditor import AUDIT_SECONDS, Auditor
from watchkeeper.plane.deliveries import Deliveries
from watchkeeper.plane.follower import Follower
from watchkeeper.plane.health import PROBE_SECONDS, Health
from watchkeeper.plane.outages import Outages
from watchkeeper.plane.schedule import Schedule, plan_housekeeping
from watchkeeper.plane.server import Server, bind_loopback, bind_unix
from watchkeeper.plane.settings import Settings
from watchkeeper.plane.state import PlaneFile, StateDirectory
from watchkeeper.plane.sweeper import Sweeper
from watchkeeper.plane.switch import Switch

_LOG = logging.getLogger("watchkeeper.plane")
_COLLECTED_AFTER = (10_000, 20, 50)
"""Objects more than before, and rounds of the younger: some calls at a time make hundreds each
that die with them, and looking through them costs more than it finds."""
_LAST_CHECKPOINT_SECONDS = 5
_USES_SECONDS = 60
_PRICES_SECONDS = 60
_POLL_SECONDS = 1
_ERASE_SECONDS = 2
_FORGET_SECONDS = 3600
_TRACE_SECONDS = 1
_EXPORT_SECONDS = 1


@dataclass(slots=True)
class Plane:
    """A plane that is put together; `start`, then `wait`, then `stop`."""

    settings: Settings
    state: StateDirectory
    rooms: Rooms
    gateways: Gateways
    sweeper: Sweeper
    schedule: Schedule
    follower: Follower
    previews: Previews
    auditor: Auditor
    deliveries: Deliveries
    health: Health
    outages: Outages
    server: Server
    switch: Switch
    way_out: WayOut
    ending: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        """Load what is in force, begin to sweep, then accept connections."""
        rooms = self.rooms
        await self._open_vault()
        await rooms.applying.load()
        await rooms.kill.view.load()
        await self.switch.start()
        await rooms.decider.breakers.load(rooms.store)
        await rooms.watching_agents.start()
        await rooms.overriding.load()
        await rooms.capping.load()
        await recover(rooms.decider)
        await rooms.health.start()
        await rooms.store.write(history.begin)
        await rooms.projector.start()
        await rooms.exporter.start()
        self.follower.start()
        await rooms.sealed.load()
        await self.gateways.start()
        await rooms.runtimes.polling.start()
        await self.deliveries.start()
        self.sweeper.start()
        if isinstance(rooms.clock, RehearsalClock):
            rooms.clock.on_advance(lambda now: self.sweeper.wake())
            rooms.clock.on_advance(lambda now: rooms.runtimes.polling.poll_due())
        unix, tcp = bind_unix(self.state.socket), bind_loopback(self.settings.port or 0)
        port = tcp.getsockname()[1]
        local = f"http://127.0.0.1:{port}"
        rooms.http = rooms.tokens.claims.issuer = self.settings.public_url or local
        log = rooms.audit.log
        await log.open()
        await rooms.audit.anchoring.start()
        started = {"version": rooms.version, "port": port, "ledger_key": log.key.text()}
        await self._record("plane.started", started)
        await self.server.open([unix, tcp])
        self._plan_work()
        self.schedule.start()
        self.state.announce(
            PlaneFile(
                pid=os.getpid(),
                http=local,
                socket=str(self.state.socket),
                started_at=rooms.clock.now(),
                environment=rooms.environment,
                version=rooms.version,
            )
        )
        # what is loaded now stays: collecting it again and again would only hold the loop up
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECTED_AFTER)
        _LOG.info("ready on %s and %s", self.state.socket, local)

    async def wait(self) -> None:
        """Serve until somebody asks the plane to end."""
        serving = asyncio.create_task(self.server.main_loop(), name="server")
        await self.ending.wait()
        self.server.stop()
        await serving

    async def stop(self) -> None:
        """Stop accepting, finish or cut what runs, record the stop, close the store.

        Held callers are answered with their pending request; streams end; whatever was
        acknowledged is durable already.
        """
        _LOG.info("stopping")
        self.rooms.ending.set()
        self.rooms.decider.waiting.close()
        await asyncio.gather(self.server.close(), self._close_ways_out())
        self.schedule.stop()
        await self._step("traces", self.rooms.projector.stop())
        await self._step("sweeper", self.sweeper.stop())
        await self._step("switch file", self.switch.stop())
        await self._step("kill switch", self.rooms.kill.stop())
        await self._step("watch of agents", self.rooms.watching_agents.stop())
        await self._step("follower", self.follower.stop())
        await self._step("watch over runs", self.rooms.health.stop())
        await self._step("uses of secrets", self.rooms.sealed.note_uses())
        await self._step("overrides", self.rooms.overriding.stop())
        await self._step("changed caps", self.rooms.capping.stop())
        await self._step("previews", self.previews.stop())
        await self._step("replays", self.rooms.replays.stop())
        await self._step("outages", self.outages.finish())
        if self.server.started:
            await self._step("record of the stop", self._record("plane.stopped", {}))
            last = self.rooms.audit.log.finish(_LAST_CHECKPOINT_SECONDS)
            await self._step("last checkpoint", last)
        await self._step("store", self.rooms.store.close())
        _LOG.info("stopped")

    def _plan_work(self) -> None:
        """Say what recurs as long as the plane runs."""
        rooms = self.rooms
        self.schedule.every(_USES_SECONDS, "uses of secrets", rooms.sealed.note_uses)
        plan_housekeeping(self.schedule, rooms.store, self.sweeper.wake)
        self.schedule.every(_TRACE_SECONDS, "traces", rooms.projector.follow)
        self.schedule.every(_FORGET_SECONDS, "purge of traces", rooms.projector.purge)
        self.schedule.every(_EXPORT_SECONDS, "export of spans", rooms.exporter.run_due)
        self.schedule.every(AUDIT_SECONDS, "audit of what waits", self.auditor.audit)
        self.schedule.every(LOOK_SECONDS, "checkpoints", rooms.audit.log.advance)
        for one in rooms.audit.anchoring.standings:
            given = partial(rooms.audit.anchoring.run, one)
            self.schedule.every(LOOK_SECONDS, f"anchor {name_of(one.anchor)}", given)
        self.schedule.every(PROBE_SECONDS, "health", lambda: self.health.probe(rooms))
        self.schedule.every(_PRICES_SECONDS, "prices", rooms.applying.reprice)
        days = self.settings.personal_days
        self.schedule.every(
            _FORGET_SECONDS, "purge of the vault", lambda: purge_vault(rooms.store, days)
        )
        self.schedule.every(_ERASE_SECONDS, "erasures that were cut off", rooms.erasing.go_on)
        self.schedule.every(_POLL_SECONDS, "runtimes", rooms.runtimes.poll_due)
        self.schedule.every(_FORGET_SECONDS, "runs that have ended elsewhere", rooms.runtimes.purge)

    async def _open_vault(self) -> None:
        """Have personal data kept; without the key nothing of it is, and nothing is committed."""
        try:
            await self.rooms.sealed.open_vault()
        except WatchkeeperError as error:
            self.rooms.store.vault.use(None)
            _LOG.warning("what is personal in the ledger cannot be read: %s", error)

    async def _close_ways_out(self) -> None:
        await self._step("deliveries", self.deliveries.stop())
        await self._step("runtimes", self.rooms.runtimes.stop())
        await self._step("gateways", self.gateways.stop())
        await self._step("way to the anchors", self.way_out.close())

    async def _record(self, type_: str, body: Mapping[str, object]) -> None:
        about = f"plane/{self.rooms.plane}"
        await self.rooms.store.write(
            lambda tx: tx.record(type_, actor="plane", subject=about, body=body)
        )

    async def _step(self, name: str, work: Awaitable[object]) -> None:
        try:
            await work
        except Exception:
            _LOG.exception("stopping the %s failed", name)
