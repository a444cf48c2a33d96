"""Looks at what agents do, as the ledger tells it, and opens breakers.

It follows committed events, beside the path of calls. What the detectors remember is kept in the
unit of work that moves the cursor, with the breaker that was opened if one was: however the plane
ends, each event counts once. In between it is in memory only, for a second or some. What was
counted in since is counted in again by the next plane, to the same end: nothing but the events
and their times goes into it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from watchkeeper.breakers import keeping, service, watch
from watchkeeper.breakers.model import Alarm, Budget, Ended, Permitted, Standing, breaker_id
from watchkeeper.breakers.tables import breaker_cursor
from watchkeeper.breakers.watch import Watch
from watchkeeper.core.digest import parse
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.core.ids import first_at
from watchkeeper.decide.budgets.breakers import Open, breakers_over, burned_by, document_over
from watchkeeper.decide.catalogue import Catalogue, CatalogueView
from watchkeeper.registry.spending import Breaker
from watchkeeper.store.journal import Event
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

_LOG = logging.getLogger("watchkeeper.decide.budgets.watching")
_EVENTS_AT_ONCE = 64
"""How many events are looked at before others have their turn: some milliseconds."""
_KEEP_SECONDS = 1.0
_KEEP_EVENTS = 4096
"""How many events are passed that count for nothing before the cursor is moved for them."""
_WATCHES_A_SECOND = 50
_RETRY_SECONDS = 1.0
_VERSIONS = 3
"""How many versions of an agent are remembered."""
_CHANGED = frozenset(
    {"breaker.opened", "breaker.probing", "breaker.reopened", "breaker.closed", "breaker.reset"}
)
_TYPES = _CHANGED | {"decision.permitted", "outcome.recorded"}


@dataclass(slots=True)
class _Phase:
    """How a breaker stood at the event that is looked at, as the events before it say."""

    closed: bool = True
    probe: str | None = None
    before: str = ""
    """Decisions made before it tripped, by id: how they end is not counted in any more."""


@dataclass(frozen=True, slots=True)
class _Over:
    """A breaker over an agent."""

    breaker: str
    document: Breaker
    budgets: tuple[Budget, ...]


class Watching:
    """Counts what agents do in the detectors of their breakers."""

    def __init__(
        self,
        store: Store,
        view: CatalogueView,
        is_open: Open,
        on_tripped: Callable[[Standing], None] = lambda standing: None,
    ) -> None:
        self._store = store
        self._view = view
        self._open = is_open
        self._on_tripped = on_tripped
        self._saved = 0
        """Where the stored cursor stands."""
        self._passed = 0
        """Up to where every event was looked at."""
        self._kept_at = 0.0
        self._watches: keeping.Watches = {}
        self._changed: set[tuple[str, int]] = set()
        self._dropped: set[tuple[str, int]] = set()
        self._phases: dict[str, _Phase] = {}
        self._over: dict[str, tuple[_Over, ...]] = {}
        self._over_in: Catalogue | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Go on where the last plane stopped; the first begins with what happens from now on."""
        await self._load()
        self._task = asyncio.get_running_loop().create_task(self._follow(), name="watching")

    async def stop(self) -> None:
        """End, and keep what is remembered."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        try:
            await self._keep(self._passed)
        except WatchkeeperError as error:
            _LOG.warning("what was watched is not kept, and is looked at again: %s", error)

    def remembered(self, breaker: str, version: int) -> Watch | None:
        """Return what is remembered of a version of an agent."""
        return self._watches.get((breaker, version))

    async def _load(self) -> None:
        head = self._store.head
        at = await self._store.write(lambda tx: breaker_cursor.begin(tx, head))

        def query(tx: Transaction) -> tuple[keeping.Watches, dict[str, _Phase]]:
            phases = {}
            for breaker in service.read_all(tx):
                if stood := keeping.stood(tx, breaker, at):
                    phases[breaker] = _phase(*stood)
            return keeping.load(tx), phases

        self._watches, self._phases = await self._store.scan(query)
        self._changed.clear()
        self._dropped.clear()
        self._saved = self._passed = at

    async def _follow(self) -> None:
        behind = False
        while True:
            try:
                if behind:
                    await self._load()
                    behind = False
                async for batch in self._store.subscribe(after=self._passed):
                    await self._look(batch)
                return
            except WatchkeeperError as error:
                _LOG.warning("breakers cannot be watched, which is tried again: %s", error)
                behind = True
                await asyncio.sleep(_RETRY_SECONDS)

    async def _look(self, batch: Sequence[Event]) -> None:
        self._find_over()
        for start in range(0, len(batch), _EVENTS_AT_ONCE):
            if start:
                await asyncio.sleep(0)
            for event in batch[start : start + _EVENTS_AT_ONCE]:
                if event.type in _TYPES and (over := self._breakers_over(event.agent)):
                    await self._try(event, over)
                self._passed = event.sequence
        now = asyncio.get_running_loop().time()
        # the more is to be kept, the less often
        pause = _KEEP_SECONDS * (1 + len(self._changed) / _WATCHES_A_SECOND)
        late = self._changed and now - self._kept_at >= pause
        if late or (not self._changed and self._passed - self._saved >= _KEEP_EVENTS):
            await self._keep(self._passed)

    async def _try(self, event: Event, over: Sequence[_Over]) -> None:
        try:
            await self._count(event, over)
        except WatchkeeperError:
            raise
        except Exception:
            # the events after it must be looked at
            _LOG.exception("event %d is not counted in", event.sequence)

    def _find_over(self) -> None:
        """Forget, once for each catalogue, what was over whom."""
        catalogue = self._view.now
        if catalogue is self._over_in:
            return
        self._over, self._over_in = {}, catalogue
        gone = {
            key for key in self._watches if document_over(catalogue, *key[0].split("/", 1)) is None
        }
        self._drop(gone)

    def _breakers_over(self, agent: str | None) -> Sequence[_Over]:
        catalogue = self._over_in
        if agent is None or catalogue is None or not catalogue.breakers:
            return ()
        over = self._over.get(agent)
        if over is None:
            budgets = burned_by(catalogue, agent)
            over = self._over[agent] = tuple(
                _Over(breaker_id(one.name, agent), one, budgets)
                for one in breakers_over(catalogue, agent)
            )
        return over

    def _drop(self, keys: set[tuple[str, int]]) -> None:
        for key in keys:
            del self._watches[key]
            self._changed.discard(key)
            self._dropped.add(key)

    async def _count(self, event: Event, over: Sequence[_Over]) -> None:
        body = event.body
        if event.type in _CHANGED:
            self._phases[body["breaker"]] = _next(self._phases.get(body["breaker"]), event, body)
            return
        for one in over:
            phase = self._phases.get(one.breaker)
            if event.type == "decision.permitted":
                if phase is None or phase.closed:
                    await self._count_permitted(event, body, one)
            elif "version" in body:
                await self._count_ended(event, body, one, phase)

    async def _count_permitted(self, event: Event, body: dict[str, Any], over: _Over) -> None:
        call = Permitted(event.at, event.run or "", body["kind"], body["name"], body["digest"])
        version = body["version"]
        before = self._remember(over.breaker, version)
        after, alarm = watch.permitted(before, call, over.document)
        await self._note(event, over, version, after, alarm)

    async def _count_ended(
        self, event: Event, body: dict[str, Any], over: _Over, phase: _Phase | None
    ) -> None:
        decision, version = body["decision"], body["version"]
        cost = 0 if body.get("cached") else body["cost_micros"]
        tokens_in, tokens_out = body["input_tokens"], body["output_tokens"]
        used = {
            "spend": cost,
            "input_tokens": tokens_in,
            "output_tokens": tokens_out,
            "tokens": tokens_in + tokens_out,
            "tool_calls": int(body["kind"] == "tool"),
        }
        call = Ended(event.at, event.run or "", body["kind"], body["status"], cost, used)
        before = self._remember(over.breaker, version)
        if phase is not None:
            if phase.probe == decision:
                await self._end_probe(event, over, before, call, decision)
                return
            if not phase.closed or decision < phase.before:
                return
        after, alarm = watch.ended(before, call, over.document, over.budgets)
        await self._note(event, over, version, after, alarm)

    def _remember(self, breaker: str, version: int) -> Watch:
        found = self._watches.get((breaker, version))
        if found is None:
            found = self._watches[breaker, version] = Watch()
            versions = sorted(key[1] for key in self._watches if key[0] == breaker)
            self._drop({(breaker, old) for old in versions[:-_VERSIONS] if old != version})
        return found

    async def _note(
        self, event: Event, over: _Over, version: int, after: Watch, alarm: Alarm | None
    ) -> None:
        key = (over.breaker, version)
        self._watches[key] = after if alarm is None else watch.settle(after)
        self._changed.add(key)
        if alarm is None:
            return
        agent, document = event.agent or "", over.document

        def unit(tx: Transaction) -> Standing | None:
            opened = service.trip(
                tx,
                document.name,
                agent,
                version,
                alarm,
                does=document.then,
                cool_down_seconds=document.cool_down_seconds,
                reset=document.reset,
            )
            self._open.changed(tx, agent)
            return opened

        # marked first: a call that is decided in the same batch is asked too
        self._open.begin(agent)
        try:
            opened = await self._keep(event.sequence, unit)
        finally:
            self._open.end(agent)
        if opened is not None:
            phase = self._phases.setdefault(over.breaker, _Phase())
            phase.closed, phase.before = False, first_at("dec", opened.opened_at or event.at)
            self._on_tripped(opened)

    async def _end_probe(
        self, event: Event, over: _Over, before: Watch, call: Ended, decision: str
    ) -> None:
        document = over.document

        def unit(tx: Transaction) -> Standing | None:
            standing = service.find(tx, over.breaker)
            if standing is None:
                return None
            detector = standing.detector or ""
            if why := watch.says_nothing(call, detector):
                service.lose_probe(tx, over.breaker, decision, why)
                return None
            well = watch.went_well(before, call, document, detector)
            ended = service.end_probe(
                tx,
                over.breaker,
                decision,
                well=well,
                why=_how(call, well),
                cool_down_seconds=document.cool_down_seconds,
            )
            self._open.changed(tx, standing.agent)
            return ended

        await self._keep(event.sequence, unit)

    async def _keep(
        self, to: int, unit: Callable[[Transaction], Standing | None] | None = None
    ) -> Standing | None:
        """Keep what is remembered up to an event, with what a unit of work does."""
        changed = {key: self._watches[key] for key in self._changed}
        dropped = frozenset(self._dropped)
        if unit is None and to == self._saved and not changed and not dropped:
            return None

        def whole(tx: Transaction) -> Standing | None:
            keeping.keep(tx, self._saved, to, changed, dropped)
            return unit(tx) if unit is not None else None

        done = await self._store.write(whole)
        self._saved = to
        self._changed.difference_update(changed)
        self._dropped.difference_update(dropped)
        self._kept_at = asyncio.get_running_loop().time()
        return done


def _next(was: _Phase | None, event: Event, body: dict[str, Any]) -> _Phase:
    """Return how a breaker stands after its event."""
    before = was.before if was else ""
    if event.type == "breaker.opened":
        return _Phase(closed=False, before=first_at("dec", event.at))
    if event.type == "breaker.probing":
        return _Phase(closed=False, probe=body["decision"], before=before)
    return _Phase(closed=event.type != "breaker.reopened", before=before)


def _phase(type_: str, at: int, body: str, opened_at: int) -> _Phase:
    """Return how a breaker stood after the last event there was of it."""
    found = parse(body)
    return _Phase(
        closed=type_ in ("breaker.closed", "breaker.reset"),
        probe=found.get("decision") if type_ == "breaker.probing" else None,
        before=first_at("dec", opened_at),
    )


def _how(call: Ended, well: bool) -> str:
    if well:
        return "the probe went well"
    return "failed" if call.result == "failed" else "still cost too much"
