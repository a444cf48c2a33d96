"""Heeding the locks in force each time that a runtime said what runs there.

What has begun under a lock is stopped or paused, whoever began it; what a lock paused goes on once
no lock covers it any more.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from watchkeeper.core.errors import Forbidden, Unavailable
from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.decide.kill.confirming import DRAIN
from watchkeeper.decide.service import Decider
from watchkeeper.kill.model import Covered, LockInForce
from watchkeeper.kill.rules import covering
from watchkeeper.ledger.reading import LARGEST_WINDOW, read_events
from watchkeeper.registry.runtimes import Runtime
from watchkeeper.runtimes import reach
from watchkeeper.runtimes.guarding import Guard
from watchkeeper.runtimes.polling import Polling
from watchkeeper.runtimes.rules import PAUSABLE
from watchkeeper.runtimes.stopping import WHOLE, Stops, Told
from watchkeeper.store import timers
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction

_MOST_TOLD = 50
"""Runs that are told in one poll; the others have their turn in the next."""


class _Due(NamedTuple):
    row: Row
    what: Told
    lock: str
    why: str
    covered: Covered


class Heeding:
    """Does in runtimes what the locks in force want of what runs there now."""

    def __init__(
        self, decider: Decider, view: CatalogueView, polling: Polling, stops: Stops, guard: Guard
    ) -> None:
        self._decider = decider
        self._store = decider.store
        self._view = view
        self._polling = polling
        self._stops = stops
        self._guard = guard
        self._turns: Counter[str] = Counter()
        """How many runs of each runtime have had their turn."""

    async def look(self, document: Runtime) -> None:
        """Tell what runs in a runtime now what it has to be told."""
        watched = self._polling.get(document.name)
        if watched is None or not watched.adapter.can & {"stop", "stop all", "pause"}:
            return
        can = watched.adapter.can
        due = await self._store.scan(lambda tx: self._due(tx, document.name))
        if "stop" not in can and any(one.what == "stop" for one in due):
            await self._stop_all(document.name)
        due = [one for one in due if one.what in can]
        if len(due) > _MOST_TOLD:
            # none that does not heed it keeps the others from their turn
            start = self._turns[document.name] % len(due)
            self._turns[document.name] += _MOST_TOLD
            due = [*due[start:], *due[:start]][:_MOST_TOLD]
        await asyncio.gather(*(self._tell(one) for one in due))

    async def _stop_all(self, runtime: str) -> None:
        """Stop all that runs there, if a lock covers all of it: no single run can be told."""
        locks = await self._store.scan(
            lambda tx: [
                lock
                for lock in self._decider.locks
                if lock.target.kind in WHOLE
                and lock.target.name in {runtime, "*"}
                and lock.mode != "pause"
                and _is_heeded(tx, lock)
            ]
        )
        for lock in locks[:1]:
            by = f"lock/{lock.lock}"
            await self._stops.tell_in(runtime, lock.target, by=by, why=lock.reason)

    async def _tell(self, due: _Due) -> None:
        by = f"lock/{due.lock}"
        if due.what != "resume":
            await self._stops.tell_run(due.row, due.what, now=True, by=by, why=due.why, again=True)
            return
        try:
            await self._guard.carry(
                (due.covered,),
                lambda: self._stops.tell_run(
                    due.row, "resume", now=True, by=by, why=due.why, again=True
                ),
            )
        except (Forbidden, Unavailable):
            return  # another lock has come into force meanwhile, or nobody can tell

    def _due(self, tx: Transaction, runtime: str) -> list[_Due]:
        locks = [lock for lock in self._decider.locks if _is_heeded(tx, lock)]
        rows = [row for row in reach.expected_runs(tx, runtime) if row.missing_since is None]
        paused = {row.id for row in rows if row.state == "paused"}
        if not locks and not paused:
            return []
        named = [(row.id, row.agent, row.run) for row in rows]
        known = reach.known_of(tx, self._view.now, runtime, named)
        paused_by = _paused_by(tx, runtime) if paused else {}
        found = []
        for row in rows:
            covered, ours = known[row.id]
            lock = covering(locks, covered)
            if lock is None:
                by = paused_by.get(row.id) if row.id in paused else None
                # of a run of ours that was stopped meanwhile nothing goes on
                if by is not None and ours in (None, "open") and not self._locked(covered):
                    found.append(_Due(row, "resume", by, "the lock was lifted", covered))
            elif lock.mode != "pause":
                found.append(_Due(row, "stop", lock.lock, lock.reason, covered))
            elif row.state in PAUSABLE:
                found.append(_Due(row, "pause", lock.lock, lock.reason, covered))
        return found

    def _locked(self, covered: Covered) -> bool:
        """Tell whether a lock that is not heeded here yet, a drain, is over a run."""
        return covering(self._decider.locks, covered) is not None


def _is_heeded(tx: Transaction, lock: LockInForce) -> bool:
    """Tell whether what runs is told of a lock: a drain ends nothing before it has drained."""
    if lock.mode == "drain":
        return timers.find(tx, DRAIN, lock.lock) is None
    return lock.mode in {"stop", "pause"}


def _paused_by(tx: Transaction, runtime: str) -> dict[str, str]:
    """Return, by run, the lock that paused it last; of one that a person paused, none."""
    newest: Sequence[tuple[str, str]] = [
        (str(event.body.get("id")), event.actor)
        for event in read_events(
            tx,
            subject=f"runtime/{runtime}",
            type="runtime.run_paused",
            newest_first=True,
            limit=LARGEST_WINDOW,
        )
    ]
    last = dict(reversed(newest))
    return {
        id: actor.removeprefix("lock/") for id, actor in last.items() if actor.startswith("lock/")
    }
