"""Looks after runs: hears their signs, and says when they give none or get nowhere.

Every open run has one timer, set for when it would be silent if nothing came. A look reads what
the run did meanwhile and sets the timer anew, so that actions themselves write nothing. What an
alarmed run does is followed in the ledger, and ends the alarm at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from sqlalchemy import bindparam, select

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.decide.catalogue import Catalogue, CatalogueView
from watchkeeper.decide.runs import expecting
from watchkeeper.decide.runs.life import limits_over, read_facts
from watchkeeper.health import service
from watchkeeper.health.model import Assessed, Remote
from watchkeeper.health.rules import assess
from watchkeeper.identity.rules import check_token
from watchkeeper.identity.runs import facts_of, find_run, replayed_by
from watchkeeper.identity.tables import runs
from watchkeeper.store.journal import Event
from watchkeeper.store.statement import Statement
from watchkeeper.store.store import Store
from watchkeeper.store.timers import Handler
from watchkeeper.store.timers import timers as timer_table
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.health import AILING, HeartbeatTaken
from watchkeeper.wire.health import Health as HealthWord

_LOG = logging.getLogger("watchkeeper.decide.runs.health")
RemoteLife = Callable[[Transaction, str], Remote]
"""Tells what its runtimes say of a run."""
_AT_ONCE = 50
"""Runs looked at in one unit of work."""
_AT_START = 500
_BEAT_US = MICROSECONDS
"""Heartbeats of a run that come closer together are as one."""

_UNWATCHED = Statement(
    select(runs.c.run)
    .where(
        runs.c.state == "open",
        ~select(timer_table.c.id)
        .where(timer_table.c.kind == service.RUN, timer_table.c.ref == runs.c.run)
        .exists(),
        runs.c.run > bindparam("after"),
    )
    .order_by(runs.c.run)
    .limit(_AT_START)
)


def begin(tx: Transaction, catalogue: Catalogue, run: str, agent: str) -> None:
    """Watch a run from its opening on."""
    service.look_at(tx, run, tx.now + limits_over(catalogue, agent).silent)


def next_seconds(catalogue: Catalogue, agent: str) -> int:
    """Return within what time an agent's run is to be heard of again, in seconds."""
    governed = catalogue.agents.get(agent)
    every = governed.contract.health.heartbeat_seconds if governed else None
    return every or max(1, limits_over(catalogue, agent).silent // (2 * MICROSECONDS))


class Health:
    """The watch over runs in one plane; `remote_life` asks the runtimes' room."""

    def __init__(
        self,
        store: Store,
        view: CatalogueView,
        remote_life: RemoteLife = lambda tx, run: Remote(),
    ) -> None:
        self._store = store
        self._view = view
        self._remote_life = remote_life
        self._alarmed: set[str] = set()
        """Runs and agents whose next event may end an alarm."""
        self._waiting: set[str] = set()
        """Those of them of which an event has told."""
        self._expect = False
        """Whether documents were put in force of which others may be expected."""
        self._task: asyncio.Task[None] | None = None

    @property
    def handlers(self) -> dict[str, Handler]:
        """What the sweeper runs, by timer kind."""
        return {
            service.RUN: lambda tx, run, due_at: self._due(tx, run),
            expecting.AGENT: lambda tx, agent, due_at: self.look_for(tx, agent),
        }

    async def start(self) -> None:
        """Go on watching: give every open run its timer, and look at those that are alarmed."""
        for unit in (self._watch, self._look_again):
            after: str | None = ""
            while after is not None:
                after = await self._store.write(partial(unit, after=after))
        await self._store.write(self._expect_in)

    async def stop(self) -> None:
        """End; what is left to look at is found again by the next plane."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def beat(self, token: str) -> HeartbeatTaken:
        """Hear that a run lives; raise `Unauthenticated` for a token that opens nothing."""

        def unit(tx: Transaction) -> HeartbeatTaken:
            run = check_token(facts_of(tx, token), tx.now)
            catalogue, kept = self._view.now, service.find(tx, run.run)
            health: HealthWord = "working"
            if kept.alarm is None and tx.now - kept.heartbeat_at < _BEAT_US:
                tx.silent("it was heard a moment ago")
            else:
                service.beat(tx, run.run, run.agent)
                found = self.look(tx, run.run)
                health = found.health if found else "quiet"
            return HeartbeatTaken(
                run=run.run, health=health, next_seconds=next_seconds(catalogue, run.agent)
            )

        return await self._store.write(unit)

    def look(self, tx: Transaction, run: str) -> Assessed | None:
        """Look how a run does, and alarm or end an alarm; None if it has ended, or is a replay,
        which somebody tries out and nobody waits for.
        """
        tx.silent("a look changes nothing else; an alarm is recorded")
        row = find_run(tx, run)
        if row is None or row.state != "open" or replayed_by(tx, [run]):
            service.forget(tx, run)
            tx.after_commit(lambda: self._alarmed.discard(run))
            return None
        catalogue, kept = self._view.now, service.find(tx, run)
        facts = read_facts(tx, catalogue, row, kept, self._remote_life(tx, run))
        now = assess(facts, limits_over(catalogue, row.agent), tx.now)
        excused = facts.excuse is not None and now.health == "quiet"
        at = tx.now if excused else facts.excused_at
        service.keep(tx, run, row.agent, kept, now, excused=excused, excused_at=at)
        note = self._alarmed.add if now.health in AILING else self._alarmed.discard
        tx.after_commit(lambda: note(run))
        return now

    def _due(self, tx: Transaction, run: str) -> None:
        self.look(tx, run)

    def look_for(self, tx: Transaction, agent: str) -> None:
        """Look whether an agent does what its contract expects of it."""
        silent = expecting.look(tx, self._view.now, agent)
        note = self._alarmed.add if silent else self._alarmed.discard
        tx.after_commit(lambda: note(f"agent/{agent}"))

    def follow(self, batch: Sequence[Event]) -> None:
        """Take note of committed events: a sign of what is alarmed, documents put in force."""
        if any(event.type in ("agent.applied", "agent.removed") for event in batch):
            self._expect = True
        self._waiting |= {e.run for e in batch if e.run and e.type == "runtime.run_lost"}
        if self._alarmed:
            named = {event.run for event in batch if event.run and event.actor != "plane"}
            named |= {e.run for e in batch if e.run and e.type in _ENDS}
            named |= {f"agent/{event.agent}" for event in batch if event.run}
            self._waiting |= self._alarmed & named
        if (self._waiting or self._expect) and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._catch_up(), name="health")

    async def check(self, runs: Iterable[str]) -> None:
        """Look at some runs now, e.g. since their runtime does not know them any more."""
        self._waiting.update(runs)
        await self._catch_up()

    async def caught_up(self) -> None:
        """Wait until all that was told is looked at."""
        if self._task is not None:
            await self._task

    async def _catch_up(self) -> None:
        while self._waiting or self._expect:
            some = sorted(self._waiting)[:_AT_ONCE]
            expect, self._expect = self._expect, False
            self._waiting.difference_update(some)

            def unit(tx: Transaction, some: list[str] = some, expect: bool = expect) -> None:
                if expect:
                    self._expect_in(tx)
                for name in some:
                    kind, _, agent = name.partition("/")
                    self.look_for(tx, agent) if agent else self.look(tx, kind)

            try:
                await self._store.write(unit)
            except WatchkeeperError as error:
                _LOG.warning("alarms about runs are looked at again later: %s", error)
                self._waiting.update(some)
                self._expect |= expect
                return

    def _watch(self, tx: Transaction, after: str) -> str | None:
        tx.silent("runs of before are watched too")
        found = _UNWATCHED.all(tx, after=after)
        kept = service.find_many(tx, [row.run for row in found])
        for row in found:
            if row.run not in kept or kept[row.run].alarm is None:
                service.look_at(tx, row.run, tx.now)
        return found[-1].run if len(found) == _AT_START else None

    def _look_again(self, tx: Transaction, after: str) -> str | None:
        tx.silent("an alarm that has ended is recorded")
        found = service.alarmed(tx, after)
        for row in found:
            self.look(tx, row.run)
        return found[-1].run if len(found) == service.MOST_ALARMS else None

    def _expect_in(self, tx: Transaction) -> None:
        tx.silent("an alarm that has ended is recorded")
        for agent in expecting.agents_expected(tx, self._view.now):
            self.look_for(tx, agent)


_ENDS = frozenset({"run.closed", "run.expired", "run.stopped"})
