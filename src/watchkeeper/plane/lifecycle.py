"""Putting a plane together, and serving until it is asked to end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Iterable, Sequence

from watchkeeper import __version__
from watchkeeper.api.callers import account_name
from watchkeeper.api.decide import Decide
from watchkeeper.api.operations import routes
from watchkeeper.api.rooms import Rooms
from watchkeeper.core.clock import MICROSECONDS, Clock, RehearsalClock, SystemClock
from watchkeeper.core.places import SWITCH_FILE
from watchkeeper.decide.budgets.capping import Capping
from watchkeeper.decide.budgets.watching import Watching
from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
from watchkeeper.decide.erasing.service import Erasing
from watchkeeper.decide.held.previews import Previews
from watchkeeper.decide.kill.owners import Owners
from watchkeeper.decide.kill.stop import KillSwitch
from watchkeeper.decide.notices.callbacks import CALLBACKS
from watchkeeper.decide.notices.concerned import Notices
from watchkeeper.decide.notices.telling import Telling
from watchkeeper.decide.notices.webhooks import Webhooks
from watchkeeper.decide.people.overriding import Overriding
from watchkeeper.decide.policies.applying import Applying
from watchkeeper.decide.replay.service import Replays
from watchkeeper.decide.reports.making import Reporting
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.decide.runs.health import Health as RunHealth
from watchkeeper.decide.service import Decider
from watchkeeper.decide.tokens.proofs import Proofs
from watchkeeper.decide.tokens.server import Tokens
from watchkeeper.gateways.composition import mount
from watchkeeper.identity.signing import SigningKeys
from watchkeeper.ledger.log import Log
from watchkeeper.ledger.reading import read_events
from watchkeeper.ledger.service import LedgerAudit
from watchkeeper.notices.model import Place
from watchkeeper.outbox.keys import WebhookKey
from watchkeeper.plane.anchors import WayOut, anchors_of
from watchkeeper.plane.application import assemble
from watchkeeper.plane.asking import open_device_logins, open_issuers
from watchkeeper.plane.auditor import Auditor, heartbeat
from watchkeeper.plane.deliveries import Deliveries
from watchkeeper.plane.exporting import exporter_of
from watchkeeper.plane.follower import Follower
from watchkeeper.plane.handlers import handlers_of
from watchkeeper.plane.health import Health
from watchkeeper.plane.outages import Outages
from watchkeeper.plane.running import Plane
from watchkeeper.plane.schedule import Schedule
from watchkeeper.plane.server import Server
from watchkeeper.plane.settings import Settings
from watchkeeper.plane.state import StateDirectory
from watchkeeper.plane.sweeper import Sweeper
from watchkeeper.plane.switch import Switch
from watchkeeper.plane.timers import StoredTimers
from watchkeeper.runtimes.effects import RuntimeStops
from watchkeeper.runtimes.life import life_of
from watchkeeper.runtimes.polling import Polling
from watchkeeper.runtimes.service import Runtimes
from watchkeeper.store.store import Store
from watchkeeper.tools.inspection.rules import personal_in
from watchkeeper.tools.secrets.keys import key_source
from watchkeeper.tools.secrets.sealed import SealedStore
from watchkeeper.traces.keeping import Terms
from watchkeeper.traces.projector import Projector

_LOG = logging.getLogger("watchkeeper.plane")
_TOLERATED_SECONDS = 2


async def build(settings: Settings, state: StateDirectory) -> Plane:
    """Open the store and wire every room; the caller holds the state directory's lock."""
    clock = make_clock(settings)
    store = await Store.open(settings.database_url, clock)
    store.vault.find = personal_in
    await _keep_forward(clock, store)
    view = CatalogueView(build_catalogue({}))
    decider = Decider(store, view)
    outages = Outages(store)
    sealed = SealedStore(store, key_source(settings.sealing_key, state.path))
    gateways = mount(
        decider, view, clock, outages.changed,
        sealed=sealed, vault=settings.vault, places=(settings.heartbeat_url, settings.otlp_url),
        home=str(state.path.resolve()),
    )  # fmt: skip
    kill = KillSwitch(decider)
    run_health = RunHealth(store, view, life_of)
    handlers = handlers_of(decider, kill, run_health)
    sweeper = Sweeper(StoredTimers(store, handlers), clock)
    health = Health(state.path)
    auditor = Auditor(store, sweeper.wake, heartbeat(gateways.egress, settings.heartbeat_url))
    ending = asyncio.Event()
    issuers = open_issuers(gateways.egress, clock)
    envelopes = Envelopes(decider)
    tokens = Tokens(
        decider,
        envelopes,
        Proofs(store, view, issuers, settings.trusts),
        SigningKeys(store, state.path / "signing", settings.plane),
    )
    gateways.credentials.mint = tokens.mint
    polling = Polling(store, view, gateways.egress, gateways.credentials, state.path / "runtimes")
    webhook_key = WebhookKey(state.path / "signing")
    notices = Notices(decider.coverage, account_name(os.getuid()))
    here = Place(settings.environment, settings.public_url or "")
    telling = Telling(store, view, gateways.read_secret, here)
    webhooks = Webhooks(
        store, view, gateways.egress, gateways.read_secret, webhook_key,
        lambda: decider.switched_off(),  # noqa: PLW0108 - it is put there later
    )  # fmt: skip
    deliveries = Deliveries(
        store,
        view,
        clock,
        [CALLBACKS, notices.route],
        {"webhook": webhooks, "notice": telling},
    )
    log = Log(store, state.path, f"{settings.trusts}/{settings.plane}")
    way_out = WayOut(settings.anchor_witness, settings.anchor_tsa)
    audit = LedgerAudit(log, anchors_of(settings, way_out, state.path))
    projector = Projector(
        store, Terms(settings.trace_days, settings.content_days, settings.trace_percent)
    )

    async def settle() -> None:
        gateways.forget_answers()
        await gateways.recording.settle()
        await projector.follow()

    rooms = Rooms(
        store=store,
        clock=clock,
        view=view,
        decider=decider,
        environment=settings.environment,
        plane=settings.plane,
        version=__version__,
        upstreams=gateways.upstream_rows,
        sealed=sealed,
        send_due=deliveries.wake,
        webhook_key=webhook_key,
        credential_troubles=gateways.credential_troubles,
        issuers=issuers,
        devices=open_device_logins(gateways.egress, clock, issuers),
        sightings=gateways.sightings,
        kill=kill,
        watching_agents=Watching(store, view, decider.breakers),
        health=run_health,
        applying=Applying(store, view),
        envelopes=envelopes,
        runtimes=Runtimes(decider, view, envelopes, polling),
        replays=Replays(store),
        fork=gateways.forks.fork,
        playbacks=gateways.playbacks,
        projector=projector,
        lost_contents=lambda: gateways.recording.lost,
        telemetry=gateways.telemetry,
        exporter=exporter_of(settings, store, gateways),
        tokens=tokens,
        overriding=Overriding(store, view),
        capping=Capping(store, view),
        notices=notices,
        telling=telling,
        stop=ending.set,
        sweep=sweeper.sweep,
        audited=auditor.found,
        audit=audit,
        reporting=Reporting(store, audit, settings.plane),
        erasing=Erasing(store, view, state.path, settle=settle),
        store_state=lambda: health.store,
    )
    kill.effectors.add(Owners(decider, notices, rooms.onlookers, deliveries.wake))
    kill.effectors.add(RuntimeStops(view, rooms.runtimes.stops))
    kill.effectors.add(gateways.stops)

    def locks_changed() -> None:
        gateways.follow_locks()
        rooms.runtimes.follow_locks()

    kill.on_change = locks_changed
    application = assemble(
        list(routes(rooms)),
        hot={"/v1/decide": Decide(rooms), **gateways.posts},
        gateways=gateways.apps,
        max_body=settings.max_body,
        max_gateway_body=settings.max_gateway_body,
        public_url=settings.public_url,
    )

    def secrets_changed(names: Sequence[str]) -> None:
        sealed.forget(names)
        gateways.secrets_changed(names)

    def decided(requests: Iterable[str]) -> None:
        decider.waiting.wake(found := tuple(requests))
        if found:
            rooms.runtimes.answers.wake()

    def changed() -> None:
        gateways.refresh()
        polling.follow()

    previews = Previews(decider, gateways.read)
    plane = Plane(
        settings=settings,
        state=state,
        rooms=rooms,
        switch=Switch(state.path / SWITCH_FILE, decider, kill),
        way_out=way_out,
        gateways=gateways,
        sweeper=sweeper,
        schedule=Schedule(),
        follower=Follower(
            store,
            decided,
            sweeper.wake,
            changed,
            previews.begin,
            secrets_changed,
            rooms.overriding.follow,
            rooms.capping.follow,
            kill.view.follow,
            run_health.follow,
        ),
        previews=previews,
        auditor=auditor,
        deliveries=deliveries,
        health=health,
        outages=outages,
        server=Server(
            application,
            most_connections=settings.max_connections,
            stop_seconds=settings.stop_seconds,
        ),
        ending=ending,
    )
    return plane


def make_clock(settings: Settings) -> Clock:
    """Return the clock that the settings ask for."""
    if settings.rehearsal_clock is None:
        return SystemClock()
    return RehearsalClock(frozen=settings.rehearsal_clock == "frozen")


async def _keep_forward(clock: Clock, store: Store) -> None:
    """Never run behind the ledger: a rehearsal goes on where it was, a wall clock is told of."""
    head = store.head
    if not head:
        return
    (newest,) = await store.read(lambda tx: read_events(tx, after=head - 1, limit=1))
    behind = newest.at - clock.now()
    if behind > 0 and isinstance(clock, RehearsalClock):
        clock.advance(behind / MICROSECONDS)
    elif behind > _TOLERATED_SECONDS * MICROSECONDS:
        _LOG.warning("the clock is %d s behind the newest ledger entry", behind // MICROSECONDS)


async def serve(settings: Settings, state: StateDirectory) -> None:
    """Run a plane until SIGTERM, SIGINT or an owner asks it to end.

    Raises `WatchkeeperError` if it cannot start; nothing is left behind then.
    """
    state.acquire()
    try:
        plane = await build(settings.like(state.last()), state)
        loop = asyncio.get_running_loop()
        ends = (signal.SIGTERM, signal.SIGINT)
        for number in ends if settings.detached else (*ends, signal.SIGHUP):
            loop.add_signal_handler(number, _end, plane)
        try:
            await plane.start()
            await plane.wait()
        finally:
            await plane.stop()
    finally:
        state.release()


def _end(plane: Plane) -> None:
    if plane.ending.is_set():
        plane.server.force_exit = True  # asked twice: do not wait for calls in flight
    plane.ending.set()
