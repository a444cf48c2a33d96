"""A decider over budgets of every measure, with one open run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from tests.decide.still import POLICY, WORLD
from tests.rig.moments import moment
from tests.rig.sweeping import sweep
from watchkeeper.budgets.checking import check_balances
from watchkeeper.budgets.reading import read_budget
from watchkeeper.budgets.rules import read_accounts
from watchkeeper.budgets.tables import holds
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.decide.budgets.holds import hold_timers
from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
from watchkeeper.decide.policies.applying import Applying
from watchkeeper.decide.records import find_decision
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.decide.runs.unsettled import SWEEP, sweeping
from watchkeeper.decide.service import Decider
from watchkeeper.identity.enrolment import enrol, redeem_enrolment
from watchkeeper.identity.model import NewRun
from watchkeeper.store.statement import Statement
from watchkeeper.store.store import Store
from watchkeeper.wire.decisions import Answer, Ask, Outcome, Usage

AGENT = "refund-assistant"
CALL = Usage(input_tokens=100, output_tokens=50, cost_micros=900)
CHANGED = WORLD.replace(
    "{max_steps: 12, max_cost_usd_per_run: 0.75}",
    "{max_steps: 12, max_cost_usd_per_run: 0.75, max_retries: 1, max_objects: 2,"
    " max_value_usd: 100, max_messages: 5, max_risk_points: 90}",
).replace("risk: medium\n", "risk: medium\n  tags: [message]\n").replace(
    "owner: finance-ops\n",
    "owner: finance-ops\n  identity: {delegates_to: [refund-assistant]}\n",
    1,
) + """
---
budget: {name: time, scope: agent/refund-assistant, period: day, limits: {wall_seconds: 10000}}
---
budget:
  name: ada
  scope: person/*
  period: week
  zone: Europe/Berlin
  limits: {spend_usd: 0.002}
"""  # fmt: skip


@dataclass
class Ground:
    """A decider over a store of its own, with one open run."""

    store: Store
    decider: Decider
    clock: RehearsalClock
    credential: str
    run: str
    token: str

    async def refund(self, charge: str = "ch_1", usd: float = 20, **more: Any) -> Answer:
        """Ask for a refund."""
        ask = Ask(name="stripe.create_refund", arguments={"charge_id": charge, "amount_usd": usd})
        return await self.decider.decide(self.token, ask, **more)

    async def call(self, usage: Usage = CALL, **more: Any) -> Answer:
        """Ask for a model call."""
        ask = Ask(kind="model", name="small-fast", estimate=usage)
        return await self.decider.decide(self.token, ask, **more)

    async def settle(self, answer: Answer, status: Any = "succeeded", **more: Any) -> None:
        """Say how an action ended."""
        await self.decider.settle(answer.decision, Outcome(status=status, **more))

    async def put(self, world: str) -> None:
        """Put another world in force."""
        files = [("w.yaml", world), ("p.cedar", POLICY)]
        applying = Applying(self.store, self.decider.catalogue)
        await applying.apply(files, prune=True, actor="person/a")

    async def figures(self, budget: str) -> tuple[int, int]:
        """What a budget has posted and held."""
        name = budget.replace("RUN", self.run)
        caps = self.decider.catalogue.now.caps.standing()
        row = await self.store.read(lambda tx: read_budget(tx, name, standing=caps))
        return row.posted, row.held

    async def state(self, answer: Answer) -> tuple[str | None, str | None]:
        """How a decision ended, and its error."""
        row = await self.store.read(lambda tx: find_decision(tx, answer.decision))
        return row.outcome, row.error

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and what is due be done."""
        self.clock.advance(seconds)
        handlers = {**hold_timers(self.decider), SWEEP: sweeping(self.decider)}
        await sweep(self.store, handlers)
        check = await self.store.scan(check_balances)
        assert not check.differences


async def drawn_on(ground: Ground, answer: Answer) -> set[str]:
    """The periods of the balances that an action counts in."""
    found = Statement(select(holds.c.accounts).where(holds.c.decision == answer.decision))
    row = await ground.store.read(found.first)
    assert row is not None
    return {account.period for account in read_accounts(row.accounts)}


@asynccontextmanager
async def open_ground(database_url: str) -> AsyncIterator[Ground]:
    """Put the small world in force and open a run."""
    clock = RehearsalClock(frozen=True, start=moment("2026-11-23T08:00:00Z"))
    async with await Store.open(database_url, clock) as store:
        view = CatalogueView(build_catalogue({}))
        files = [("w.yaml", CHANGED), ("p.cedar", POLICY)]
        await Applying(store, view).apply(files, prune=False, actor="person/a")
        decider = Decider(store, view)
        secret = await store.write(lambda tx: enrol(tx, AGENT, ttl_seconds=60, actor="a"))
        credential = await store.write(lambda tx: redeem_enrolment(tx, secret.secret))
        _, issued = await Envelopes(decider).open(credential.secret, NewRun("refund", "ada"))
        yield Ground(store, decider, clock, credential.secret, issued.run, issued.token)
