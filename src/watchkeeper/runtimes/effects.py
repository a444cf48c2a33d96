"""Stopping or pausing in its runtimes what a lock covers: one party for each runtime."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import select

from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.decide.kill.effector import Done, name_of
from watchkeeper.decide.kill.effects import Reach
from watchkeeper.kill.model import LockInForce, LockTarget
from watchkeeper.kill.rules import OWNS_RUNS
from watchkeeper.runtimes.stopping import Locking, RuntimeResult, Stops
from watchkeeper.runtimes.tables import remote_runs
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.locks import Effect

_AT_ONCE = 500


class RuntimeStops:
    """Tells runtimes to stop, or to pause, what a lock covers, and says what each answered."""

    effect: Effect = "stop run"
    kind = "runtime"
    pauses = True

    def __init__(self, view: CatalogueView, stops: Stops) -> None:
        self._view = view
        self._stops = stops

    def parties(self, tx: Transaction, lock: LockInForce, reach: Reach) -> Sequence[str]:
        """Return the runtimes where covered agents run, and those that told of a covered run."""
        if lock.target.kind not in OWNS_RUNS:
            return ()
        told = _telling_of(tx, [row.run for row in reach.runs], self._agents(lock.target))
        here = told & self._view.now.runtimes.keys()
        return [f"{self.kind}/{name}" for name in sorted(here | reach.runtimes)]

    async def carry_out(self, lock: LockInForce, party: str) -> Done:
        """Tell one runtime."""
        name, what = name_of(party), _what(lock)
        by = f"lock/{lock.lock}"
        return _said(
            party, await self._stops.tell_in(name, lock.target, what, by=by, why=lock.reason)
        )

    async def rehearse(self, lock: LockInForce, party: str) -> Done:
        """Ask a runtime who it is, and tell from its kind what it can be told."""
        return await self._stops.answers(name_of(party), lock.target, _what(lock))

    def _agents(self, target: LockTarget) -> frozenset[str]:
        """Return the agents of which every run is covered, whoever opened it."""
        if target.kind == "agent":
            return frozenset({target.name})
        catalogue = self._view.now
        return frozenset(
            name
            for name in catalogue.agents
            if target.kind == "team" and catalogue.team_of(name) == target.name
        )


def _what(lock: LockInForce) -> Locking:
    return "pause" if lock.mode == "pause" else "stop"


def _telling_of(tx: Transaction, runs: Iterable[str], agents: Iterable[str]) -> set[str]:
    """Return the runtimes that told of a run that goes on and is one of these, or an agent's."""
    found: set[str] = set()
    for column, names in ((remote_runs.c.run, list(runs)), (remote_runs.c.agent, list(agents))):
        for start in range(0, len(names), _AT_ONCE):
            query = (
                select(remote_runs.c.runtime)
                .where(
                    remote_runs.c.ended_at.is_(None), column.in_(names[start : start + _AT_ONCE])
                )
                .distinct()
            )
            found |= set(tx.connection.execute(query).scalars())
    return found


def _said(party: str, result: RuntimeResult) -> Done:
    if result.result == "not supported":
        return Done(result.detail, supported=False)
    if result.result == "unconfirmed":
        return Done(result.detail)
    return Done(result.detail, party)
