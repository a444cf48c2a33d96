"""Stopping, pausing and resuming what runs in runtimes: bounded, and good to be said again.

What cannot be reached is unconfirmed, and told again by whoever asked; a runtime that hangs holds
up no other, and never whoever waits for longer than `TRY_SECONDS`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal, get_args

from watchkeeper.core.errors import Unavailable
from watchkeeper.core.text import make_safe
from watchkeeper.decide.effector import Done
from watchkeeper.runtimes import changes, records, rules
from watchkeeper.runtimes.model import Adapter, RemoteRun, Stopping
from watchkeeper.runtimes.polling import Polling, Watched
from watchkeeper.store.statement import Row
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.upstreams.model import UpstreamFailure
from watchkeeper.wire.runtimes import ENDED, StopResult

TRY_SECONDS = 4.0
"""How long one try may take over all runtimes; what a lock waits for an answer is longer."""
_LIST_SECONDS = 1.5
"""Of these, to look for what has begun since a runtime was last asked."""
_AT_ONCE = 16
_KEPT_AT_ONCE = 50
Told = Literal["stop", "pause", "resume"]
_DONE: dict[Told, str] = {"stop": "stopped", "pause": "paused", "resume": "resumed"}


@dataclass(frozen=True, slots=True)
class Reach:
    """What is stopped: runs of ours, all runs of some agents, all that runs in some runtimes."""

    runs: frozenset[str] = frozenset()
    agents: frozenset[str] = frozenset()
    all_of: frozenset[str] = frozenset()
    """Runtimes of which every run is meant."""
    everything: bool = False


@dataclass(frozen=True, slots=True)
class RuntimeResult:
    """What came of one try in one runtime; `counts` says of how many runs which.

    `result` is that of the run that came off worst.
    """

    runtime: str
    result: StopResult
    detail: str
    counts: tuple[tuple[StopResult, int], ...] = ()


@dataclass(frozen=True, slots=True)
class _Outcome:
    run: RemoteRun
    came: Stopping


class Stops:
    """Tells runtimes to stop, pause or resume what runs in them."""

    def __init__(self, store: Store, polling: Polling) -> None:
        self._store = store
        self._polling = polling

    async def runtimes_of(self, reach: Reach) -> tuple[str, ...]:
        """Return the runtimes in force that something has to be told to."""
        return await self._store.scan(lambda tx: self.runtimes_in(tx, reach))

    def runtimes_in(self, tx: Transaction, reach: Reach) -> tuple[str, ...]:
        """Return the same within a unit of work."""
        found = {row.runtime for row in _rows(tx, reach)} | reach.all_of
        return tuple(name for name in self._names(reach) if reach.everything or name in found)

    async def tell(
        self, reach: Reach, what: Told = "stop", *, by: str, why: str
    ) -> tuple[RuntimeResult, ...]:
        """Tell every runtime that runs any of it; return what came of it in each, by name.

        May be said again as often as need be: what is so already is said to be. Takes no longer
        than `TRY_SECONDS` (and the writing down of it); what is not known by then is unconfirmed.
        """
        rows = await self._store.scan(lambda tx: _rows(tx, reach))
        by_name: dict[str, list[Row]] = {}
        for row in rows:
            by_name.setdefault(row.runtime, []).append(row)
        names = self._names(reach)
        results = await asyncio.gather(
            *(
                self._tell_one(name, by_name.get(name, []), reach, what, by=by, why=why)
                for name in names
            )
        )
        return tuple(result for result in results if result is not None)

    async def tell_in(
        self, name: str, reach: Reach, what: Told = "stop", *, by: str, why: str
    ) -> RuntimeResult:
        """Tell one runtime, as `tell` does, and say so too where nothing of it runs there."""
        rows = await self._store.scan(lambda tx: _rows(tx, reach))
        mine = [row for row in rows if row.runtime == name]
        result = await self._tell_one(name, mine, reach, what, by=by, why=why)
        if result is not None:
            return result
        watched = self._polling.get(name)
        if watched is None:
            said = "no document for it is in force: look there by hand"
            return RuntimeResult(name, "unconfirmed", said)
        if "list" in watched.adapter.can:
            return RuntimeResult(name, "already done", "nothing of it runs there")
        said = "a runtime of its kind can't say what runs there; the gateways refuse what it asks"
        return RuntimeResult(name, "not supported", said)

    async def answers(self, name: str) -> Done:
        """Ask a runtime who it is, without any effect; say what it could be told."""
        watched = self._polling.get(name)
        if watched is None:
            return Done("no document for it is in force", supported=False)
        can = watched.adapter.can
        if not can & {"stop", "stop all"}:
            said = "its kind can't be told to stop: the gateways refuse what it asks"
            return Done(said, supported=False)
        try:
            found = await watched.adapter.information()
        except (UpstreamFailure, Unavailable) as error:
            return Done(f"it does not answer: {make_safe(error.message, limit=200)}")
        if not found.authorised:
            return Done("it refuses the plane's credential")
        version = f", version {make_safe(found.version, limit=40)}" if found.version else ""
        return Done(f"it answers{version}; it can {', '.join(sorted(can))}", name)

    async def tell_run(
        self, row: Row, what: Told, *, now: bool, by: str, why: str, news_only: bool = False
    ) -> Stopping:
        """Tell a runtime about one run; `news_only`: that it did not help is not recorded."""
        watched = self._polling.get(row.runtime)
        if watched is None:
            return Stopping("unconfirmed", "no document for its runtime is in force", row.state)
        outcome = await self._bounded(watched.adapter, records.remote_of(row), what, now=now)
        if not news_only or outcome.came.result == "done":
            await self._keep(watched, [outcome], what, by=by, why=why)
        return outcome.came

    def _names(self, reach: Reach) -> list[str]:
        """Return the runtimes that may run any of it."""
        return [
            name
            for name, watched in sorted(self._polling.watched())
            if reach.everything
            or reach.runs
            or name in reach.all_of
            or reach.agents & {one.agent for one in watched.document.agents}
        ]

    async def _tell_one(
        self, name: str, rows: Sequence[Row], reach: Reach, what: Told, *, by: str, why: str
    ) -> RuntimeResult | None:
        watched = self._polling.get(name)
        if watched is None:
            return None
        whole = reach.everything or name in reach.all_of
        outcomes: dict[str, _Outcome] = {}
        problem: list[str] = []
        runs = {row.id: records.remote_of(row) for row in rows}
        with suppress(TimeoutError):
            async with asyncio.timeout(TRY_SECONDS):
                runs |= await self._begun_since(watched, reach, whole, what, problem)
                if whole and what == "stop":
                    await _stop_all(watched.adapter)
                await self._tell_each(watched, runs.values(), what, outcomes)
        # what had no answer in time is to be told again, also what nobody had seen before
        for run in runs.values():
            late = Stopping("unconfirmed", f"no answer in {TRY_SECONDS:g} s", run.state)
            outcomes.setdefault(run.id, _Outcome(run, late))
        await self._keep(watched, list(outcomes.values()), what, by=by, why=why)
        return _sum_up(name, list(outcomes.values()), what, problem)

    async def _begun_since(
        self, watched: Watched, reach: Reach, whole: bool, what: Told, problem: list[str]
    ) -> dict[str, RemoteRun]:
        """Return the runs that it covers and that a runtime tells of now."""
        if what == "resume" or "list" not in watched.adapter.can:
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
        return {
            run.id: run
            for run in listing.runs
            if rules.usable(run)
            and (
                whole
                or run.our_run in reach.runs
                or rules.agent_of(watched.document, run.offered) in reach.agents
            )
        }

    async def _tell_each(
        self,
        watched: Watched,
        runs: Iterable[RemoteRun],
        what: Told,
        outcomes: dict[str, _Outcome],
    ) -> None:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def tell(run: RemoteRun) -> None:
            async with gate:
                outcomes[run.id] = await _tell(watched.adapter, run, what, now=True)

        await asyncio.gather(*(tell(run) for run in runs))

    async def _bounded(
        self, adapter: Adapter, run: RemoteRun, what: Told, *, now: bool
    ) -> _Outcome:
        try:
            async with asyncio.timeout(TRY_SECONDS):
                return await _tell(adapter, run, what, now=now)
        except TimeoutError:
            late = Stopping("unconfirmed", f"no answer in {TRY_SECONDS:g} s", run.state)
            return _Outcome(run, late)

    async def _keep(
        self, watched: Watched, outcomes: Sequence[_Outcome], what: Told, *, by: str, why: str
    ) -> None:
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
                        _keep_one(tx, row, one.came, what, by=by, why=why)

            await self._store.write(keep)


def _keep_one(tx: Transaction, row: Row, came: Stopping, what: Told, *, by: str, why: str) -> None:
    """Keep what came of telling a runtime about one run, and the state that was read back."""
    if came.result != "already done":
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


async def _tell(adapter: Adapter, run: RemoteRun, what: Told, *, now: bool) -> _Outcome:
    if what not in adapter.can:
        said = f"a runtime of this kind can't {what} a run; the gateways refuse what it asks for"
        return _Outcome(run, Stopping("not supported", said, run.state))
    try:
        if what == "stop":
            came = await adapter.stop(run, now=now)
        else:
            came = await (adapter.pause(run) if what == "pause" else adapter.resume(run))
    except (UpstreamFailure, Unavailable) as error:
        came = Stopping("unconfirmed", error.message, "unknown")
    if came.result == "done" and what == "stop" and came.state not in ENDED:
        came = replace(came, state="stopped")
    return _Outcome(run, came)


async def _stop_all(adapter: Adapter) -> None:
    """Have all of it stopped at once, where a runtime can; each run is told too, and read back."""
    if "stop all" in adapter.can:
        with suppress(UpstreamFailure, Unavailable, TimeoutError):
            async with asyncio.timeout(TRY_SECONDS / 2):
                await adapter.stop_all()


def _rows(tx: Transaction, reach: Reach) -> list[Row]:
    return records.covered_rows(
        tx,
        runs_of_ours=reach.runs,
        agents=reach.agents,
        runtimes=reach.all_of,
        everything=reach.everything,
    )


def _sum_up(
    name: str, outcomes: Sequence[_Outcome], what: Told, problems: Sequence[str]
) -> RuntimeResult | None:
    """Say what came of it in one runtime; None where nothing there is covered."""
    counted = Counter(one.came.result for one in outcomes)
    if not outcomes and not problems:
        return None
    worst: StopResult = "already done"
    order: tuple[StopResult, ...] = ("done", "not supported", "unconfirmed")
    for result in order:
        if counted[result]:
            worst = result
    if problems:
        worst = "unconfirmed"
    order_shown = get_args(StopResult)
    words = [
        f"{counted[one]} {_DONE[what] if one == 'done' else one}"
        for one in order_shown
        if counted[one]
    ]
    why = next((one.came.detail for one in outcomes if one.came.result == worst), "")
    said = "; ".join(filter(None, (", ".join(words), *problems, why if not problems else "")))
    return RuntimeResult(
        name,
        worst,
        str(make_safe(said, limit=400)),
        tuple((one, counted[one]) for one in order_shown if counted[one]),
    )
