"""Takes what agents' telemetry says: joins it to runs and keeps what may be kept of it."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Any, NamedTuple

from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.decide.runs.sessions import call_key
from watchkeeper.decide.telemetry import bypass, usage
from watchkeeper.decide.telemetry.findings import find
from watchkeeper.decide.telemetry.meter import Meter
from watchkeeper.decide.telemetry.reported import Allowed, Part, Reported
from watchkeeper.decide.telemetry.senders import Sender, allowed_of, run_named, sender_of
from watchkeeper.decide.telemetry.strangers import Strangers
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces.telemetry import rows
from watchkeeper.traces.telemetry.kept import Call

PATIENCE_SECONDS = 0.02
"""How long what a request said waits, once it is kept, to be made durable with a decision."""
_REMEMBERED = 10_000
_MOST_STRANGERS = 32
"""Names of one request that are looked at: findings tell fewer apart."""


class Stranger(NamedTuple):
    """Where an agent that no contract names is at work under the credentials of another."""

    run: str | None
    trace: str


class Intake:
    """What was kept so far of one request."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.counts: Counter[str] = Counter()
        self.strangers: dict[str, Stranger] = {}


class Telemetry:
    """Takes agents' telemetry in one plane."""

    def __init__(self, store: Store, view: CatalogueView) -> None:
        self._store = store
        self._view = view
        self._runs: OrderedDict[tuple[str, str], str] = OrderedDict()
        """Runs of traces, by agent and trace."""
        self._unjoined: OrderedDict[tuple[str, str], None] = OrderedDict()
        """Traces of which spans are kept that no run is known of."""
        self.strangers = Strangers(store)
        self.meter = Meter()

    @property
    def head(self) -> int:
        """The newest entry of the ledger."""
        return self._store.head

    @property
    def now(self) -> int:
        """The plane's time."""
        return self._store.clock.now()

    async def identify(self, token: str) -> Sender:
        """Return whose telemetry it is; raise `Unauthenticated`."""
        return await self._store.read(lambda tx: sender_of(tx, token))

    def allowed(self, sender: Sender) -> Allowed:
        """Return what may be kept of what a sender says."""
        return allowed_of(self._view.now, sender.agent)

    async def take(self, intake: Intake, part: Part) -> None:
        """Keep a part of a request; with its last part all of it is durable."""
        intake.counts, intake.strangers = await self._store.write(
            lambda tx: self._keep(tx, intake, part),
            patience=PATIENCE_SECONDS if part.end else 0,
            durable=part.end,
        )
        self.meter.took(sum(one.count for one in part.reported), self.now)

    def _keep(
        self, tx: Transaction, intake: Intake, part: Part
    ) -> tuple[Counter[str], dict[str, Stranger]]:
        tx.silent("what agents say of themselves is no record")
        sender, strangers = intake.sender, dict(intake.strangers)
        agent, agents, calls = sender.agent, self._view.now.agents, 0
        counts = intake.counts + Counter(rejected=part.rejected, logs=part.logs, points=part.points)
        for one in part.reported:
            run = self._join(tx, sender, one)
            counts["spans"] += one.count
            counts["joined"] += one.count if run is not None else 0
            calls += len(one.calls)
            rows.put_spans(tx, agent, one.trace, run, one.spans)
            rows.add_calls(tx, [_call(tx, agent, one, run, call) for call in one.calls])
            for name in one.agents:
                if name not in agents and len(strangers) < _MOST_STRANGERS:
                    strangers.setdefault(name, Stranger(run, one.trace))
        if calls or usage.take(tx, sender, part.measured):
            bypass.watch(tx, agent)
        if part.end:
            rows.count_sent(tx, agent, **counts)
            owner = self._view.now.team_of(agent)
            for name, (run, trace) in strangers.items():
                find(tx, "unknown_agent", agent, name, owner=owner, run=run, trace=trace)
        return counts, strangers

    def _join(self, tx: Transaction, sender: Sender, one: Reported) -> str | None:
        run, key = self._run_of(tx, sender, one), (sender.agent, one.trace)
        if run is None:
            _remember(self._unjoined, key, None)
            return None
        _remember(self._runs, key, run)
        if key in self._unjoined:
            rows.join_trace(tx, *key, run)
            del self._unjoined[key]
        return run

    def _run_of(self, tx: Transaction, sender: Sender, one: Reported) -> str | None:
        agent = sender.agent
        # not what its trace was known by: a session that goes on has another run
        if (found := run_named(tx, sender, one)) is not None:
            return found
        if (known := self._runs.get((agent, one.trace))) is not None:
            return known
        return rows.run_of_trace(tx, agent, one.trace)


def _call(tx: Transaction, agent: str, of: Reported, run: str | None, call: Call) -> dict[str, Any]:
    name = call.call
    if name is not None and of.client is not None and of.session is not None:
        # what the hook of a coding agent asked with
        name = call_key(of.client, of.session, name)
    return {
        "key": f"{agent}/{of.trace}/{call.place}",
        "agent": agent,
        "trace": of.trace,
        "parent": call.parent,
        "run": run,
        "kind": call.kind,
        "subject": call.subject,
        "call": name,
        "start": call.start,
        "end": call.end,
        "received_at": tx.now,
        "state": "waiting",
        "decision": None,
    }


def _remember(known: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    known[key] = value
    if len(known) > _REMEMBERED:
        known.popitem(last=False)
