"""Takes what agents' telemetry says: joins it to runs and keeps what may be kept of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.decide.runs.sessions import call_key, run_of_session
from watchkeeper.decide.telemetry import bypass
from watchkeeper.decide.telemetry.findings import find
from watchkeeper.decide.telemetry.senders import Keeping, Sender, keeping_of, sender_of
from watchkeeper.identity.runs import agent_of_run
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.traces.model import Span
from watchkeeper.traces.rows import put
from watchkeeper.traces.telemetry import rows
from watchkeeper.traces.telemetry.keeping import as_span
from watchkeeper.traces.telemetry.model import Named, Said, key_of
from watchkeeper.traces.telemetry.naming import MODEL_CALLS, TOOL_CALLS, name

OLDEST_SECONDS = 7 * 86_400
AHEAD_SECONDS = 3600
"""How far a span's time may be from the plane's."""
_REMEMBERED = 10_000
_UNTIMED_SECONDS = 600
"""How long a call may have gone on of which a log record tells the end alone."""


class Read(NamedTuple):
    """A span that was said, and what is kept of it; None: nothing but that it was."""

    said: Said
    named: Named
    span: Span | None


class Telemetry:
    """Takes agents' telemetry in one plane."""

    def __init__(self, store: Store, view: CatalogueView) -> None:
        self._store = store
        self._view = view
        self._runs: OrderedDict[tuple[str, str], str] = OrderedDict()
        """Runs of traces, by agent and trace."""
        self._unjoined: OrderedDict[tuple[str, str], None] = OrderedDict()
        """Traces of which spans are kept that no run is known of."""
        self.refused = 0
        """Requests since this plane began whose token is nobody's."""

    @property
    def head(self) -> int:
        """The newest entry of the ledger."""
        return self._store.head

    async def identify(self, token: str) -> Sender:
        """Return whose telemetry it is; raise `Unauthenticated`."""
        return await self._store.read(lambda tx: sender_of(tx, token))

    def read(self, sender: Sender, said: Iterable[Said]) -> list[Read]:
        """Return what may be kept of spans, without those of no time near the plane's."""
        now, agent = self._store.clock.now(), sender.agent
        keeping, read = keeping_of(self._view.now, agent), []
        for one in said:
            if _is_of_these_days(one, now):
                named, span = name(one), None
                if keeping.spans:
                    span = as_span(
                        one, named, agent=agent, contents=keeping.contents, clean=keeping.clean
                    )
                read.append(Read(one, named, span))
        return read

    async def take(
        self, sender: Sender, read: Sequence[Read], rejected: int, *, logs: int = 0
    ) -> None:
        """Keep spans, a bounded number; `rejected` others were no spans, or of another time.

        `logs`: of how many log records they were made.
        """
        await self._store.write(lambda tx: self._keep(tx, sender, read, rejected, logs))

    async def count(self, sender: Sender, **more: int) -> None:
        """Count what is not kept."""

        def unit(tx: Transaction) -> None:
            tx.silent("nothing is kept of it but its number")
            rows.count_sent(tx, sender.agent, **more)

        await self._store.write(unit)

    def _keep(
        self, tx: Transaction, sender: Sender, read: Sequence[Read], rejected: int, logs: int
    ) -> None:
        tx.silent("what agents say of themselves is no record")
        keeping = keeping_of(self._view.now, sender.agent)
        agent, joined, calls, spans = sender.agent, 0, [], []
        runs: dict[tuple[str, str | None, str | None], str | None] = {}
        for one in read:
            asked = one.said.trace, one.named.run, one.named.session
            if asked not in runs:
                runs[asked] = self._join(tx, sender, one)
            run = runs[asked]
            joined += run is not None
            if one.span is not None:
                spans.append(one.span if run is None else replace(one.span, run=run))
            if (call := _call(tx, one, agent, run, keeping)) is not None:
                calls.append(call)
        put(tx, spans)
        if calls:
            rows.add_calls(tx, calls)
            bypass.watch(tx, agent)
        self._look_for_strangers(tx, agent, read, runs, keeping)
        rows.count_sent(tx, agent, spans=len(read), joined=joined, rejected=rejected, logs=logs)

    def _join(self, tx: Transaction, sender: Sender, one: Read) -> str | None:
        agent, trace = sender.agent, one.said.trace
        run = self._run_of(tx, sender, one)
        key = (agent, trace)
        if run is None:
            _remember(self._unjoined, key, None)
            return None
        _remember(self._runs, key, run)
        if key in self._unjoined:
            rows.join_trace(tx, agent, trace, run)
            del self._unjoined[key]
        return run

    def _run_of(self, tx: Transaction, sender: Sender, one: Read) -> str | None:
        agent, claimed, trace = sender.agent, one.named.run, one.said.trace
        if claimed is not None and agent_of_run(tx, claimed) == agent:
            return claimed
        if sender.run is not None:
            return sender.run
        session, client = one.named.session, one.named.client
        if session is not None and client is not None:
            # not what its trace was known by: a session that goes on has another run
            found = run_of_session(tx, agent, f"{client}:{session}")
            if found is not None:
                return found
        if (known := self._runs.get((agent, trace))) is not None:
            return known
        return rows.run_of_trace(tx, agent, trace)

    def _look_for_strangers(
        self,
        tx: Transaction,
        agent: str,
        read: Sequence[Read],
        runs: dict[tuple[str, str | None, str | None], str | None],
        keeping: Keeping,
    ) -> None:
        catalogue, seen = self._view.now, {agent}
        for said, named, _ in read:
            stranger = keeping.clean(named.agent or "")
            if not stranger or stranger in seen or stranger in catalogue.agents:
                continue
            seen.add(stranger)
            run = runs[said.trace, named.run, named.session]
            find(
                tx, "unknown_agent", agent, stranger,
                owner=catalogue.team_of(agent), run=run, trace=said.trace,
            )  # fmt: skip


def _call(
    tx: Transaction, one: Read, agent: str, run: str | None, keeping: Keeping
) -> dict[str, Any] | None:
    said, named = one.said, one.named
    kind = "tool" if named.operation in TOOL_CALLS else "model"
    if kind == "model" and named.operation not in MODEL_CALLS:
        return None
    untimed = said.logged and said.start == said.end
    return {
        "key": key_of(agent, said),
        "agent": agent,
        "trace": said.trace,
        "parent": said.parent,
        "run": run,
        "kind": kind,
        "subject": keeping.clean(named.subject),
        "call": _call_id(named),
        "start": said.start - (_UNTIMED_SECONDS * MICROSECONDS if untimed else 0),
        "end": max(said.start, said.end),
        "received_at": tx.now,
        "state": "waiting",
        "decision": None,
    }


def _call_id(named: Named) -> str | None:
    """Return what names a call: of a coding agent's, what its hook asked with."""
    if named.call is None or named.client is None or named.session is None:
        return named.call
    return call_key(named.client, named.session, named.call)


def _is_of_these_days(said: Said, now: int) -> bool:
    oldest = now - OLDEST_SECONDS * MICROSECONDS
    newest = now + AHEAD_SECONDS * MICROSECONDS
    return oldest <= said.start <= newest and said.end <= newest


def _remember(known: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    known[key] = value
    if len(known) > _REMEMBERED:
        known.popitem(last=False)
