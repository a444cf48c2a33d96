"""Stopping, pausing and resuming what runs in runtimes: bounded, and good to be said again.

What cannot be reached is unconfirmed, and told again by whoever asked; a runtime that hangs holds
up no other, and never whoever waits for longer than `TRY_SECONDS`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal, get_args
from weakref import WeakValueDictionary

from watchkeeper.core.errors import Unavailable
from watchkeeper.core.text import make_safe
from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.decide.kill.effector import Done
from watchkeeper.kill.model import LockTarget
from watchkeeper.kill.rules import covers
from watchkeeper.runtimes import changes, reach, records, rules
from watchkeeper.runtimes.adapters.stopping import Tell, stop_and_look
from watchkeeper.runtimes.model import Adapter, RemoteRun, Stopping
from watchkeeper.runtimes.polling import Polling, Watched
from watchkeeper.store.statement import Row
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.upstreams.model import UpstreamFailure
from watchkeeper.wire.locks import TargetKind
from watchkeeper.wire.runtimes import ENDED, StopResult, Verb

TRY_SECONDS = 4.0
"""How long one try may take over all runtimes; what a lock waits for an answer is longer."""
_LIST_SECONDS = 1.5
"""Of these, to look for what has begun since a runtime was last asked."""
_AT_ONCE = 16
_KEPT_AT_ONCE = 50
_MOST_REMEMBERED = 5_000
Told = Literal["stop", "pause", "resume"]
Locking = Literal["stop", "pause"]
"""What a lock has runs told."""
_VERBS: dict[Locking, frozenset[Verb]] = {
    "stop": frozenset({"stop", "stop all"}),
    "pause": frozenset({"pause"}),
}
WHOLE: frozenset[TargetKind] = frozenset({"runtime", "everything"})
"""Targets of which all that runs in a runtime is."""
_DONE: dict[Told, str] = {"stop": "stopped", "pause": "paused", "resume": "resumed"}


@dataclass(frozen=True, slots=True)
class RuntimeResult:
    """What came of one try in one runtime; `result` is that of the run that came off worst."""

    runtime: str
    result: StopResult
    detail: str


@dataclass(frozen=True, slots=True)
class _Outcome:
    run: RemoteRun
    came: Stopping


class Stops:
    """Tells runtimes to stop, pause or resume what runs in them."""

    def __init__(self, store: Store, view: CatalogueView, polling: Polling) -> None:
        self._store = store
        self._view = view
        self._polling = polling
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        """Of each run that is being told something."""
        self._said: dict[tuple[str, str, Told, str], tuple[StopResult, str]] = {}
        """What last came of telling a run so for a lock, while that does not help."""

    async def tell_in(
        self, name: str, target: LockTarget, what: Locking = "stop", *, by: str, why: str
    ) -> RuntimeResult:
        """Tell one runtime about every run that a lock on `target` covers, and what came of it.

        May be said again as often as need be: what is so already is said to be. Takes no longer
        than `TRY_SECONDS` (and the writing down of it); what is not known by then is unconfirmed.
        """
        watched = self._polling.get(name)
        if watched is None:
            said = "no document for it is in force: look there by hand"
            return RuntimeResult(name, "unconfirmed", said)
        if not watched.adapter.can & _VERBS[what]:
            said = f"its kind can't {what} a run; the gateways refuse what it asks"
            return RuntimeResult(name, "not supported", said)
        outcomes: dict[str, _Outcome] = {}
        problem: list[str] = []
        # not among the scans: reports must not hold up a stop
        runs = await self._store.read(lambda tx: self._covered(tx, watched, target))
        with suppress(TimeoutError):
            async with asyncio.timeout(TRY_SECONDS):
                runs |= await self._begun_since(watched, target, runs, problem)
                all_told = None
                if target.kind in WHOLE and what == "stop":
                    all_told = await _stop_all(watched.adapter)
                await self._tell_each(watched, runs.values(), what, outcomes, all_told)
        # what had no answer in time is to be told again, also what nobody had seen before
        for run in runs.values():
            late = Stopping("unconfirmed", f"not confirmed within {TRY_SECONDS:g} s", run.state)
            outcomes.setdefault(run.id, _Outcome(run, late))
        found = list(outcomes.values())
        news = frozenset(one.run.id for one in found if self._is_news(name, one, what, by))
        await self._keep(watched, found, what, by=by, why=why, news=news)
        if found or problem:
            return _sum_up(name, found, what, problem)
        if "list" in watched.adapter.can:
            return RuntimeResult(name, "already done", "nothing of it runs there")
        said = "a runtime of its kind can't say what runs there; the gateways refuse what it asks"
        return RuntimeResult(name, "not supported", said)

    async def answers(self, name: str, target: LockTarget, what: Locking) -> Done:
        """Ask a runtime who it is, without any effect; say what it could be told."""
        watched = self._polling.get(name)
        if watched is None:
            return Done("no document for it is in force", supported=False)
        can = watched.adapter.can
        if not can & _VERBS[what]:
            said = f"its kind can't be told to {what}: the gateways refuse what it asks"
            return Done(said, supported=False)
        if what not in can and target.kind not in WHOLE:
            return Done(_lacking(watched, what), supported=False)
        try:
            found = await watched.adapter.information()
        except (UpstreamFailure, Unavailable) as error:
            return Done(f"it does not answer: {make_safe(error.message, limit=200)}")
        if not found.authorised:
            return Done("it refuses the plane's credential")
        version = f", version {make_safe(found.version, limit=40)}" if found.version else ""
        return Done(f"it answers{version}; it can {', '.join(sorted(can))}", name)

    async def tell_run(
        self, row: Row, what: Told, *, now: bool, by: str, why: str, again: bool = False
    ) -> Stopping:
        """Tell a runtime about one run; `again`: over and over, so only changes are events."""
        watched = self._polling.get(row.runtime)
        if watched is None:
            return Stopping("unconfirmed", "no document for its runtime is in force", row.state)
        outcome = await self._bounded(watched, records.remote_of(row), what, now=now)
        told = not again or self._is_news(row.runtime, outcome, what, by)
        news = frozenset({outcome.run.id} if told else ())
        await self._keep(watched, [outcome], what, by=by, why=why, news=news)
        return outcome.came

    def _covered(
        self, tx: Transaction, watched: Watched, target: LockTarget
    ) -> dict[str, RemoteRun]:
        """Return the runs that a lock covers and that a runtime has told of."""
        rows = reach.expected_runs(tx, watched.document.name)
        named = [(row.id, row.agent, row.run) for row in rows]
        known = reach.known_of(tx, self._view.now, watched.document.name, named)
        return {
            row.id: records.remote_of(row) for row in rows if covers(target, known[row.id].covered)
        }

    async def _begun_since(
        self,
        watched: Watched,
        target: LockTarget,
        before: Mapping[str, RemoteRun],
        problem: list[str],
    ) -> dict[str, RemoteRun]:
        """Return the runs that a lock covers and that a runtime tells of only now."""
        if "list" not in watched.adapter.can:
            return {}
        try:
            async with asyncio.timeout(_LIST_SECONDS):
                listing = await watched.adapter.list_runs()
        except (UpstreamFailure, Unavailable) as error:
            problem.append(str(make_safe(error.message, limit=200)))
            return {}
        except TimeoutError:
            problem.append("it did not say what runs there")
            return {}
        if not listing.complete:
            problem.append("it runs more than it tells of")
        if not all(map(rules.usable, listing.runs)):
            problem.append("it runs what cannot be named here")
        document = watched.document
        found = [run for run in map(rules.bounded, listing.runs) if rules.usable(run)]
        named = [
            (run.id, rules.agent_of(document, run.offered), run.our_run)
            for run in found
            if run.id not in before
        ]
        known = await self._store.read(
            lambda tx: reach.known_of(tx, self._view.now, document.name, named)
        )
        return {
            run.id: run
            for run in found
            if run.id in known and covers(target, known[run.id].covered)
        }

    async def _tell_each(
        self,
        watched: Watched,
        runs: Iterable[RemoteRun],
        what: Locking,
        outcomes: dict[str, _Outcome],
        all_told: Tell | None,
    ) -> None:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def tell(run: RemoteRun) -> None:
            async with gate:
                outcome = await self._tell(watched, run, what, now=True, all_told=all_told)
                outcomes[run.id] = _held(outcome) if what == "pause" else outcome

        await asyncio.gather(*(tell(run) for run in runs))

    async def _bounded(
        self, watched: Watched, run: RemoteRun, what: Told, *, now: bool
    ) -> _Outcome:
        try:
            async with asyncio.timeout(TRY_SECONDS):
                return await self._tell(watched, run, what, now=now)
        except TimeoutError:
            late = Stopping("unconfirmed", f"not confirmed within {TRY_SECONDS:g} s", run.state)
            return _Outcome(run, late)

    async def _tell(
        self, watched: Watched, run: RemoteRun, what: Told, *, now: bool,
        all_told: Tell | None = None,
    ) -> _Outcome:  # fmt: skip
        """Tell one run, which nobody else tells meanwhile: what each read back would mislead."""
        turn = self._turns.setdefault((watched.document.name, run.id), asyncio.Lock())
        async with turn:
            return await _tell(watched, run, what, now=now, all_told=all_told)

    def _is_news(self, name: str, one: _Outcome, what: Told, by: str) -> bool:
        """Whether it came otherwise than when the same was last told again."""
        key, said = (name, one.run.id, what, by), (one.came.result, one.came.detail)
        before = self._said.pop(key, None)
        if one.came.result == "done":
            return True
        self._said[key] = said
        while len(self._said) > _MOST_REMEMBERED:
            del self._said[next(iter(self._said))]
        return said != before

    async def _keep(
        self, watched: Watched, outcomes: Sequence[_Outcome], what: Told, *, by: str, why: str,
        news: Container[str],
    ) -> None:  # fmt: skip
        """Keep what came of it; what is no news is no event."""
        document = watched.document
        for start in range(0, len(outcomes), _KEPT_AT_ONCE):
            part = outcomes[start : start + _KEPT_AT_ONCE]

            def keep(tx: Transaction, part: Sequence[_Outcome] = part) -> None:
                tx.silent("what was so before is no news")
                for one in part:
                    row = records.find_run(tx, document.name, one.run.id)
                    if row is None:
                        records.take(tx, document, one.run)
                        row = records.find_run(tx, document.name, one.run.id)
                    if row is not None:
                        _keep_one(tx, row, one.came, what, by=by, why=why, news=one.run.id in news)

            await self._store.write(keep)


def _keep_one(
    tx: Transaction, row: Row, came: Stopping, what: Told, *, by: str, why: str, news: bool
) -> None:
    """Keep what came of telling a runtime about one run, and the state that was read back."""
    if news and came.result != "already done":
        detail = str(make_safe(came.detail, limit=200))
        said = f"was {_DONE[what]}" if came.result == "done" else f"{what}: {came.result}"
        tx.record(
            f"runtime.run_{_DONE[what]}" if came.result == "done" else "runtime.run_told",
            actor=by,
            subject=f"runtime/{row.runtime}",
            agent=row.agent,
            run=row.run,
            body={
                "id": row.id,
                "told": what,
                "result": came.result,
                "detail": detail,
                "reason": why,
                "text": f"{row.id} in runtime {row.runtime} {said} ({detail}): {why}"[:1000],
            },
        )
    if came.state != "unknown" and came.state != row.state and row.ended_at is None:
        changes.move(tx, row, came.state, goes_on=what == "resume")


async def _tell(
    watched: Watched, run: RemoteRun, what: Told, *, now: bool, all_told: Tell | None
) -> _Outcome:
    """Tell one run; `all_told`: what came of telling all, which is all that some can be told."""
    adapter = watched.adapter
    if what not in adapter.can and all_told is None:
        return _Outcome(run, Stopping("not supported", _lacking(watched, what), run.state))
    try:
        if what not in adapter.can and all_told is not None:
            came = await stop_and_look(all_told, lambda: adapter.inspect(run))
        elif what == "stop":
            came = await adapter.stop(run, now=now)
        else:
            came = await (adapter.pause(run) if what == "pause" else adapter.resume(run))
    except (UpstreamFailure, Unavailable) as error:
        came = Stopping("unconfirmed", error.message, "unknown")
    if came.result == "done" and what == "stop" and came.state not in ENDED:
        came = replace(came, state="stopped")
    return _Outcome(run, came)


def _lacking(watched: Watched, what: Told) -> str:
    """Say that a runtime can't do that to one run, and what can be done."""
    if what == "stop" and "stop all" in watched.adapter.can:
        kill = f"`watchkeeper kill runtime/{watched.document.name}`"
        return f"it can only stop all that runs there: {kill}"
    return f"a runtime of this kind can't {what} a run; the gateways refuse what it asks for"


async def _stop_all(adapter: Adapter) -> Tell | None:
    """Have all of it stopped at once, where a runtime can; return what tells what came of it."""
    if "stop all" not in adapter.can:
        return None
    took, failure = False, None
    try:
        async with asyncio.timeout(TRY_SECONDS / 2):
            took = await adapter.stop_all()
    except (UpstreamFailure, Unavailable) as error:
        failure = UpstreamFailure(error.message, reached=True)
    except TimeoutError:
        failure = UpstreamFailure("the stop of all had no answer in time", reached=True)

    async def told() -> bool:
        if failure is not None:
            raise failure
        return took

    return told


def _held(outcome: _Outcome) -> _Outcome:
    """Take what waits for a person as held: under a lock no approval is carried to it."""
    if outcome.came.result == "not supported" and outcome.came.state == "waiting":
        return _Outcome(outcome.run, replace(outcome.came, result="already done"))
    return outcome


def _sum_up(
    name: str, outcomes: Sequence[_Outcome], what: Told, problems: Sequence[str]
) -> RuntimeResult:
    """Say what came of it in one runtime."""
    counted = Counter(one.came.result for one in outcomes)
    worst: StopResult = "already done"
    order: tuple[StopResult, ...] = ("done", "not supported", "unconfirmed")
    for result in order:
        if counted[result]:
            worst = result
    if problems:
        worst = "unconfirmed"
    words = [
        f"{counted[one]} {_DONE[what] if one == 'done' else one}"
        for one in get_args(StopResult)
        if counted[one]
    ]
    why = next((one.came.detail for one in outcomes if one.came.result == worst), "")
    said = "; ".join(filter(None, (", ".join(words), *problems, why if not problems else "")))
    return RuntimeResult(name, worst, str(make_safe(said, limit=400)))
