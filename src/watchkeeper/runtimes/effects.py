"""Stopping in its runtimes what a lock covers: one party for each runtime."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, select

from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.decide.effector import Done
from watchkeeper.decide.effects import Reach
from watchkeeper.identity.tables import runs
from watchkeeper.kill.model import LockInForce, LockTarget
from watchkeeper.kill.rules import OWNS_RUNS
from watchkeeper.runtimes import stopping
from watchkeeper.runtimes.stopping import RuntimeResult, Stops
from watchkeeper.store.statement import Statement
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.locks import Effect

PARTY = "runtime/"
_MOST_REMEMBERED = 200
"""Locks whose runs are remembered; of older ones the store is asked."""
_STOPPED_BY = Statement(select(runs.c.run).where(runs.c.why == bindparam("lock_is")))


class RuntimeStops:
    """Tells runtimes to stop what a lock covers, and says what each answered."""

    effect: Effect = "stop run"

    def __init__(self, store: Store, view: CatalogueView, stops: Stops) -> None:
        self._store = store
        self._view = view
        self._stops = stops
        self._runs: dict[str, frozenset[str]] = {}
        """By lock, the runs that were open as it came into force."""

    def parties(self, tx: Transaction, lock: LockInForce, reach: Reach) -> Sequence[str]:
        """Return the runtimes where covered agents run, and those that told of a covered run."""
        if lock.target.kind not in OWNS_RUNS:
            return ()
        self._runs[lock.lock] = found = frozenset(row.run for row in reach.runs)
        if len(self._runs) > _MOST_REMEMBERED:
            del self._runs[next(iter(self._runs))]
        told = self._stops.runtimes_in(tx, self._covered(lock.target, found))
        return [f"{PARTY}{name}" for name in sorted({*reach.runtimes, *told})]

    async def carry_out(self, lock: LockInForce, party: str) -> Done:
        """Tell one runtime."""
        if not party.startswith(PARTY):
            raise LookupError(party)
        found = self._runs.get(lock.lock)
        if found is None:
            rows = await self._store.scan(lambda tx: _STOPPED_BY.all(tx, lock_is=lock.lock))
            found = frozenset(row.run for row in rows)
        result = await self._stops.tell_in(
            party.removeprefix(PARTY),
            self._covered(lock.target, found),
            by=f"lock/{lock.lock}",
            why=lock.reason,
        )
        return _said(party, result)

    async def rehearse(self, lock: LockInForce, party: str) -> Done:
        """Ask a runtime who it is, and tell from its kind what it can be told."""
        if not party.startswith(PARTY):
            raise LookupError(party)
        return await self._stops.answers(party.removeprefix(PARTY))

    def _covered(self, target: LockTarget, covered: frozenset[str]) -> stopping.Reach:
        agents: frozenset[str] = frozenset()
        if target.kind == "agent":
            agents = frozenset({target.name})
        elif target.kind == "team":
            catalogue = self._view.now
            agents = frozenset(
                name for name in catalogue.agents if catalogue.team_of(name) == target.name
            )
        return stopping.Reach(
            runs=covered | ({target.name} if target.kind == "run" else frozenset()),
            agents=agents,
            all_of=frozenset({target.name}) if target.kind == "runtime" else frozenset(),
            everything=target.kind == "everything",
        )


def _said(party: str, result: RuntimeResult) -> Done:
    if result.result == "not supported":
        return Done(result.detail, supported=False)
    if result.result == "unconfirmed":
        return Done(result.detail)
    return Done(result.detail, party)
