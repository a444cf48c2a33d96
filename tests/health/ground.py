"""A decider with a watch over its runs, on a clock that the test drives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.decide.still import POLICY, WORLD
from tests.rig.moments import moment
from tests.rig.sweeping import sweep
from watchkeeper.approvals.timers import handlers as approval_timers
from watchkeeper.core.clock import MICROSECONDS, RehearsalClock
from watchkeeper.decide.budgets.holds import hold_timers
from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
from watchkeeper.decide.listing import read_run
from watchkeeper.decide.policies.applying import Applying
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.decide.runs.health import Health
from watchkeeper.decide.runs.unsettled import SWEEP, sweeping
from watchkeeper.decide.service import Decider
from watchkeeper.health.model import Remote
from watchkeeper.identity.enrolment import enrol, redeem_enrolment
from watchkeeper.identity.model import IssuedRun, NewRun, ReplayOf
from watchkeeper.ledger.reading import read_events
from watchkeeper.store.journal import Event
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.agents import RunDetail
from watchkeeper.wire.decisions import Answer, Ask, Outcome

AGENT = "refund-assistant"
TOLD = ("run.silent", "run.lost", "run.stuck", "run.back", "agent.silent", "agent.back")
CALM = WORLD.replace("budgets: {max_steps: 12, max_cost_usd_per_run: 0.75}", "budgets: {}")


def with_health(**terms: int) -> str:
    """The small world, where the agent's contract says something of its health."""
    said = ", ".join(f"{name}: {value}" for name, value in terms.items())
    return CALM.replace("owner: finance-ops\n", f"owner: finance-ops\n  health: {{{said}}}\n", 1)


@dataclass
class Ground:
    """A decider over a store of its own, and the watch over its runs."""

    store: Store
    decider: Decider
    clock: RehearsalClock
    credential: str
    health: Health
    missing: dict[str, int] = field(default_factory=dict)
    seen: int = 0

    async def open(self, replay: ReplayOf | None = None) -> IssuedRun:
        """Open a run."""
        new = NewRun("refund", "ada", replay=replay)
        _, issued = await Envelopes(self.decider).open(self.credential, new)
        return issued

    async def ask(self, run: IssuedRun, charge: str = "ch_1", usd: float = 20) -> Answer:
        """Ask for a refund that the agent makes itself."""
        arguments = {"charge_id": charge, "amount_usd": usd}
        ask = Ask(name="stripe.create_refund", arguments=arguments)
        return await self.decider.decide(run.token, ask)

    async def act(self, run: IssuedRun, charge: str = "ch_1") -> Answer:
        """Make a refund and report it."""
        answer = await self.ask(run, charge)
        await self.report(run, answer)
        return answer

    async def report(self, run: IssuedRun, answer: Answer, status: Any = "succeeded") -> None:
        """Say how an action ended."""
        await self.decider.settle(answer.decision, Outcome(status=status), token=run.token)

    async def put(self, world: str) -> None:
        """Put another world in force, and follow that."""
        files = [("w.yaml", world), ("p.cedar", POLICY)]
        applying = Applying(self.store, self.decider.catalogue)
        await applying.apply(files, prune=True, actor="person/a")
        await self.follow()

    async def follow(self) -> None:
        """Let the watch see what was committed, as the plane's follower does."""
        batch = await self.events(after=self.seen)
        if batch:
            self.seen = batch[-1].sequence
            self.health.follow(batch)
        await self.health.caught_up()

    async def pass_time(self, seconds: float, *, step: float | None = None) -> None:
        """Let time pass, in steps, with what is due done in each."""
        handlers = {
            **approval_timers(self.decider.coverage),
            **hold_timers(self.decider),
            SWEEP: sweeping(self.decider),
            **self.health.handlers,
        }
        left = seconds
        while left > 0:
            part = min(step or left, left)
            self.clock.advance(part)
            left -= part
            await self.follow()
            await sweep(self.store, handlers)
            await self.follow()

    async def told(self) -> list[str]:
        """What was said of runs and agents, in order."""
        return [event.type for event in await self.events() if event.type in TOLD]

    async def shown(self, run: IssuedRun) -> RunDetail:
        """How a run is shown."""
        found = await self.store.read(lambda tx: read_run(tx, run.run))
        assert found is not None
        return found

    async def events(self, after: int = 0) -> list[Event]:
        """Every event after one."""

        def read(tx: Transaction) -> list[Event]:
            return list(read_events(tx, after=after, limit=1000))

        return await self.store.read(read)

    def now(self) -> int:
        """The time, in microseconds."""
        return self.clock.now()


SECOND = MICROSECONDS


@asynccontextmanager
async def open_ground(database_url: str, world: str = CALM) -> AsyncIterator[Ground]:
    """Put a world in force and watch over it."""
    clock = RehearsalClock(frozen=True, start=moment("2026-11-23T08:00:00Z"))
    async with await Store.open(database_url, clock) as store:
        view = CatalogueView(build_catalogue({}))
        files = [("w.yaml", world), ("p.cedar", POLICY)]
        await Applying(store, view).apply(files, prune=False, actor="person/a")
        decider = Decider(store, view)
        secret = await store.write(lambda tx: enrol(tx, AGENT, ttl_seconds=60, actor="a"))
        credential = await store.write(lambda tx: redeem_enrolment(tx, secret.secret))
        missing: dict[str, int] = {}
        health = Health(store, view, lambda tx, run: Remote(missing.get(run)))
        ground = Ground(store, decider, clock, credential.secret, health, missing)
        await health.start()
        yield ground
        await health.stop()
