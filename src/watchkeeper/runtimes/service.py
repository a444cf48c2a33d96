"""The runtimes of a plane: asked, told, and their rogue runs adopted."""

from __future__ import annotations

from collections.abc import Sequence

from watchkeeper.core.errors import Conflict, NotFound, Unavailable
from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.decide.gates.kill import forbidden
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.decide.service import Decider
from watchkeeper.identity.model import NewRun, Workload
from watchkeeper.kill.model import Covered, LockTarget
from watchkeeper.kill.service import locks_in_force
from watchkeeper.registry.runtimes import Runtime
from watchkeeper.runtimes import changes, reach, reading, records
from watchkeeper.runtimes.answering import Answers
from watchkeeper.runtimes.guarding import Guard
from watchkeeper.runtimes.heeding import Heeding
from watchkeeper.runtimes.launching import RunsOfLaunches
from watchkeeper.runtimes.model import Launching, Stopping
from watchkeeper.runtimes.polling import Polling
from watchkeeper.runtimes.stopping import Stops, Told
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.upstreams.model import UpstreamFailure
from watchkeeper.wire.runtimes import RemoteRunRow, RuntimeRow, Standing


class Runtimes:
    """What people see of runtimes, and do with their runs."""

    def __init__(
        self, decider: Decider, view: CatalogueView, envelopes: Envelopes, polling: Polling
    ) -> None:
        self._store = decider.store
        self._view = view
        self._envelopes = envelopes
        self.polling = polling
        polling.launches = RunsOfLaunches(decider.store, view, envelopes)
        self._guard = Guard(decider)
        self.answers = Answers(decider, view, envelopes, polling, self._guard)
        """Asks people what runs wait for, and tells them."""
        self.stops = Stops(decider.store, view, polling)
        """Stops, pauses and resumes what locks cover, and single runs."""
        self._heeding = Heeding(decider, view, polling, self.stops, self._guard)
        polling.on_listed = self._heeding.look

    def follow_locks(self) -> None:
        """Cut what is being told to runtimes that the locks in force now forbid."""
        self._guard.follow_locks()

    async def rows(self) -> list[RuntimeRow]:
        """Return the runtimes in force, by name."""
        documents = {name: one.document for name, one in self.polling.watched()}
        can = self.polling.can
        return await self._store.read(lambda tx: reading.runtime_rows(tx, documents, can))

    async def row(self, name: str) -> RuntimeRow:
        """Return one runtime; raise `NotFound` if there is none."""
        document = self._find(name)
        can = self.polling.can
        rows = await self._store.read(lambda tx: reading.runtime_rows(tx, {name: document}, can))
        return rows[0]

    async def runs(
        self,
        name: str,
        *,
        agents: frozenset[str] | None = None,
        standing: Standing | None,
        live: bool,
        after: str | None,
        limit: int,
    ) -> tuple[Sequence[RemoteRunRow], int]:
        """Return runs of a runtime by id, and how many there are; raise `NotFound`."""
        self._find(name)
        return await self._store.read(
            lambda tx: reading.run_rows(
                tx,
                name,
                agents=agents,
                standing=standing,
                live=live,
                after=after,
                limit=limit,
            )
        )

    async def find(self, name: str, id: str) -> Row:
        """Return the row of a run; raise `NotFound` if there is none."""
        self._find(name)
        return await self._store.read(lambda tx: _find(tx, name, id))

    async def adopt(self, name: str, id: str, *, agent: str, by: str, reason: str) -> RemoteRunRow:
        """Take a rogue run over: open a run of an agent's that covers it from now on.

        Raises `NotFound`, `Conflict` for one that is governed or has ended, and what opening a
        run raises: `Forbidden` without a contract, or under a lock.
        """
        self._find(name)

        def unit(tx: Transaction) -> RemoteRunRow:
            row = _find(tx, name, id)
            if row.ended_at is not None:
                raise Conflict(f"run {id!r:.80} has ended: {row.state}", code="run_ended")
            if row.standing != "rogue":
                raise Conflict(
                    f"run {id!r:.80} is governed already, by run {row.run}",
                    code="already_governed",
                    remedy=f"see `watchkeeper runs show {row.run}`",
                )
            _check_runtime(tx, name)
            issued = self._envelopes.open_in(
                tx,
                Workload(agent=agent, proof=f"runtime/{name}"),
                NewRun(
                    goal=f"adopted from runtime {name}: {reason}"[:2000],
                    environment=self._environment(agent),
                ),
            )
            changes.adopt(tx, row, agent=agent, run=issued.run, by=by, reason=reason)
            return reading.run_row(tx, _find(tx, name, id))

        return await self._store.write(unit)

    async def tell(
        self, name: str, id: str, what: Told, *, now: bool = True, by: str, reason: str
    ) -> Stopping:
        """Have one run stopped, paused or resumed; raise `NotFound` if there is none.

        Raises `Forbidden` for a resume where a lock covers the run, also where it comes into force
        meanwhile, or its agent has no contract.
        """
        row = await self.find(name, id)
        if not now and not self._is_launched_here(name):
            return Stopping("not supported", "it can be stopped at once only: it has no grace")
        if what != "resume":
            return await self.stops.tell_run(row, what, now=now, by=by, why=reason)
        covered = await self._store.read(lambda tx: self._may_go_on(tx, row))
        return await self._guard.carry(
            (covered,), lambda: self.stops.tell_run(row, what, now=now, by=by, why=reason)
        )

    def _is_launched_here(self, name: str) -> bool:
        watched = self.polling.get(name)
        return watched is not None and isinstance(watched.adapter, Launching)

    async def start(self, name: str, *, by: str, reason: str) -> RuntimeRow:
        """Start the process of a runtime that was stopped for good; one that runs goes on.

        Raises `NotFound`, `Conflict` for a kind that the plane does not start, and `Unavailable`
        where it does not start: its agent may be under a lock.
        """
        document = self._find(name)
        watched = self.polling.get(name)
        if watched is None or not isinstance(watched.adapter, Launching):
            raise Conflict(
                f"runtime {name} is of kind {document.kind}: the plane does not start it",
                code="not_started_here",
            )
        try:
            await watched.adapter.start()
        except UpstreamFailure as failure:
            raise Unavailable(f"it did not start: {failure.message}", where=name) from None

        def unit(tx: Transaction) -> None:
            tx.record(
                "runtime.started",
                actor=by,
                subject=f"runtime/{name}",
                agent=document.agents[0].agent,
                body={"reason": reason, "text": f"{name} was started: {reason}"},
            )

        await self._store.write(unit)
        await self.polling.poll(name)
        return await self.row(name)

    def _may_go_on(self, tx: Transaction, row: Row) -> Covered:
        """Return what locks see of a run; raise `Forbidden` where its agent has no contract."""
        if row.agent is not None:
            self._envelopes.admit(tx, row.agent, row.run or "")
        named = [(row.id, row.agent, row.run)]
        return reach.known_of(tx, self._view.now, row.runtime, named)[row.id].covered

    async def poll_due(self) -> None:
        """Begin to ask every runtime whose time has come, and to tell what was decided."""
        self.polling.poll_due()
        await self.carry_due()

    async def carry_due(self) -> None:
        """Begin to carry what was decided to the runtimes where it is waited for."""
        if self.polling.watched():
            await self.answers.carry_due()

    async def stop(self) -> None:
        """Ask and tell no more."""
        await self.answers.stop()
        await self.polling.stop()

    async def purge(self) -> None:
        """Forget runs that ended a while ago."""
        await self._store.write(changes.purge)

    def _environment(self, agent: str) -> str:
        """Return the first environment that an agent's contract covers."""
        governed = self._view.now.agents.get(agent)
        return governed.contract.environments[0] if governed else ""

    def _find(self, name: str) -> Runtime:
        watched = self.polling.get(name)
        if watched is None:
            raise NotFound(
                f"there is no runtime {name!r:.80}", remedy="see `watchkeeper runtimes list`"
            )
        return watched.document


def _check_runtime(tx: Transaction, name: str) -> None:
    """Raise `Forbidden` where a lock is on a runtime, whichever agents are said to run there."""
    here = [lock for lock in locks_in_force(tx) if lock.target == LockTarget("runtime", name)]
    if here:
        raise forbidden(here[0])


def _find(tx: Transaction, name: str, id: str) -> Row:
    row = records.find_run(tx, name, id)
    if row is None:
        raise NotFound(
            f"runtime {name} has told of no run {id!r:.80}",
            remedy=f"see `watchkeeper runtimes runs {name}`",
        )
    return row
