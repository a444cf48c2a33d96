"""What the routes work on: the plane's rooms, put together once when it starts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from watchkeeper.approvals.auditing import Audit
from watchkeeper.approvals.model import Counts
from watchkeeper.budgets.changes import with_changes
from watchkeeper.budgets.model import Cap
from watchkeeper.core.clock import Clock
from watchkeeper.decide.access import Bindings
from watchkeeper.decide.budgets.capping import Capping
from watchkeeper.decide.budgets.watching import Watching
from watchkeeper.decide.catalogue import Catalogue, CatalogueView
from watchkeeper.decide.erasing.service import Erasing
from watchkeeper.decide.kill.owners import Onlookers
from watchkeeper.decide.kill.stop import KillSwitch
from watchkeeper.decide.models.rows import CountsKept
from watchkeeper.decide.notices.concerned import Notices
from watchkeeper.decide.notices.telling import Telling
from watchkeeper.decide.people.overriding import Overriding
from watchkeeper.decide.people.vacancies import Ahead
from watchkeeper.decide.policies.applying import Applying
from watchkeeper.decide.replay.service import Replays
from watchkeeper.decide.reports.making import Reporting
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.decide.runs.health import Health
from watchkeeper.decide.service import Decider
from watchkeeper.decide.telemetry.exporting import Exporter
from watchkeeper.decide.telemetry.taking import Telemetry
from watchkeeper.decide.tokens.server import Tokens
from watchkeeper.decide.tools.sightings import Sightings
from watchkeeper.identity.attempts import Attempts
from watchkeeper.identity.devices import DeviceLogins
from watchkeeper.identity.issuers import Issuers
from watchkeeper.identity.model import IssuedRun
from watchkeeper.ledger.service import LedgerAudit
from watchkeeper.outbox.keys import WebhookKey
from watchkeeper.runtimes.service import Runtimes
from watchkeeper.store.store import Store
from watchkeeper.tools.secrets.model import Trouble
from watchkeeper.tools.secrets.sealed import SealedStore
from watchkeeper.traces.projector import Projector
from watchkeeper.wire.plane import UpstreamRow
from watchkeeper.wire.replays import Fork as Forking
from watchkeeper.wire.replays import ForkResult, Play, Playback


class Fork(Protocol):
    """What sends recorded model calls again."""

    async def __call__(self, run: str, wanted: Forking, *, by: str) -> ForkResult:
        """Fork a run, for a person."""
        ...


class PlaybackBegun(Protocol):
    """A replay of an agent that has begun."""

    @property
    def issued(self) -> IssuedRun:
        """Its run, with the token for the agent."""
        ...

    @property
    def steps(self) -> int:
        """How many steps there are to be played."""
        ...

    @property
    def missing(self) -> tuple[str, ...]:
        """What can't be played, in words."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known of it, in words."""
        ...


class Playbacks(Protocol):
    """What plays recorded runs to their agents again."""

    async def open(self, run: str, wanted: Play, *, by: str) -> PlaybackBegun:
        """Begin to play a run, for a person."""
        ...

    def read(self, run: str) -> Playback:
        """Return how a replay stands."""
        ...

    async def end(self, run: str, *, by: str) -> Playback:
        """End a replay, for a person, and say what came of it."""
        ...


@dataclass(slots=True)
class Rooms:
    """Handed to every route."""

    store: Store
    clock: Clock
    view: CatalogueView
    decider: Decider
    environment: str
    plane: str
    version: str
    upstreams: Callable[[], list[UpstreamRow]]
    """How upstreams and providers do now."""
    sealed: SealedStore
    send_due: Callable[[], None]
    """Have the outbox looked at now."""
    webhook_key: WebhookKey
    """Signs callbacks whose receiver has no secret of its own."""
    credential_troubles: Callable[[], Awaitable[list[Trouble]]]
    """Which credentials that are referred to cannot be had now."""
    issuers: Issuers
    """Whose tokens are believed, with their keys."""
    devices: DeviceLogins
    """Logins that people confirm at an issuer."""
    sightings: Sightings
    """What upstreams offer, against what is trusted."""
    kill: KillSwitch
    watching_agents: Watching
    """Counts what agents do in the detectors of their breakers."""
    health: Health
    """Hears whether runs live."""
    applying: Applying
    envelopes: Envelopes
    runtimes: Runtimes
    """Where agents' work runs, and what is done about it there."""
    replays: Replays
    fork: Fork
    """Sends a recorded model call once more."""
    playbacks: Playbacks
    """Plays recorded runs to their agents."""
    projector: Projector
    """Tells the ledger in spans."""
    lost_contents: Callable[[], int]
    """How much of what was said in calls could not be kept."""
    telemetry: Telemetry
    """Takes what agents say of themselves."""
    exporter: Exporter
    """Sends the plane's spans elsewhere."""
    tokens: Tokens
    overriding: Overriding
    """Changes who is on call."""
    capping: Capping
    """Changes caps."""
    notices: Notices
    """Who is told of what."""
    telling: Telling
    """Tells them, by the channels in force."""
    stop: Callable[[], None]
    """Begin the ordered stop of the plane."""
    sweep: Callable[[], Awaitable[int]]
    """Run every timer that is due now."""
    audited: Callable[[], tuple[int, Audit] | None]
    """When something that waits was last found without its timer, and what."""
    audit: LedgerAudit
    """Proofs that the ledger is what was written."""
    reporting: Reporting
    """Makes reports for people."""
    erasing: Erasing
    """Destroys what is kept of a person."""
    store_state: Callable[[], str]
    """`ok`, or the code of what last failed when writing."""
    http: str = ""
    """The address for agents, once it is bound: `http://127.0.0.1:PORT`."""
    onlookers: Onlookers = field(default_factory=Onlookers)
    """How many callers follow the feed."""
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the plane stops: whoever waits gives up."""
    lag_ms: float = 0.0
    """How late the event loop ran its last check; informative."""
    bindings: Bindings = field(default_factory=Bindings)
    """Seals what was evaluated, for whoever then asks for its approval."""
    access_keys: dict[str, str] = field(default_factory=dict)
    """Idempotency keys of access requests, and what each was first used for."""
    counts: dict[tuple[object, ...], tuple[float, int, Counts]] = field(default_factory=dict)
    """What was counted last, by person and what they may, with when and at which event."""
    ahead: Ahead = field(default_factory=Ahead)
    """When nobody will be on call."""
    model_counts: CountsKept = field(default_factory=CountsKept)
    """What was called of models today, as last counted."""
    logins: Attempts = field(default_factory=Attempts)
    """How often somebody may try to log in."""
    _caps: tuple[Catalogue, tuple[Cap, ...]] | None = None

    def standing_caps(self) -> tuple[Cap, ...]:
        """Return every cap in force beside those of single runs; kept until an apply."""
        catalogue = self.view.now
        if self._caps is None or self._caps[0] is not catalogue:
            self._caps = (catalogue, catalogue.caps.standing())
        return self._caps[1]

    def caps_in_force(self) -> list[Cap]:
        """Return those caps as they hold now, where people changed some."""
        return with_changes(self.standing_caps(), self.view.now.changed_caps, self.clock.now())
