"""The same call again: what stands for it, for how long, and what is never left open."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from tests.decide.still import POLICY, WORLD
from watchkeeper.approvals.rows import find
from watchkeeper.approvals.service import cast_vote
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Conflict, Forbidden
from watchkeeper.decide import records
from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
from watchkeeper.decide.live import HOLD_SECONDS
from watchkeeper.decide.policies.applying import Applying
from watchkeeper.decide.records import find_decision
from watchkeeper.decide.repeats import LARGEST_RESULT, purge_calls
from watchkeeper.decide.runs import unsettled
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.decide.runs.unsettled import SWEEP, recover, sweeping
from watchkeeper.decide.service import Decider
from watchkeeper.identity.enrolment import enrol, redeem_enrolment
from watchkeeper.identity.model import NewRun
from watchkeeper.store.store import Store
from watchkeeper.store.timers import due, fire
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Answer, Ask, Outcome, OutcomeStatus, Performer

AGENT = "refund-assistant"
SMALL = Ask(name="stripe.create_refund", arguments={"charge_id": "ch_1", "amount_usd": 20})
LARGE = Ask(name="stripe.create_refund", arguments={"charge_id": "ch_1", "amount_usd": 300})
READ = Ask(name="stripe.lookup_charge", arguments={"charge_id": "ch_1"})
WINDOW = 600


@dataclass
class Ground:
    """A decider over a store, with one open run."""

    store: Store
    clock: RehearsalClock
    view: CatalogueView
    decider: Decider
    token: str

    async def ask(self, ask: Ask, performer: Performer = "plane") -> Answer:
        """Ask for an action."""
        return await self.decider.decide(self.token, ask, performer=performer)

    async def end(self, answer: Answer, status: OutcomeStatus = "succeeded", **more: Any) -> None:
        """Settle as the gateway does."""
        await self.decider.settle(answer.decision, Outcome(status=status), **more)

    async def approve(self, request: str | None) -> None:
        """Let a person approve a request."""

        def unit(tx: Any) -> None:
            row = find(tx, request or "")
            roles = frozenset({"finance-ops"})
            cast_vote(
                tx, row.request, person="grace", roles=roles, verdict="approve", digest=row.digest
            )

        await self.store.write(unit)

    async def approved(self, performer: Performer = "plane") -> Answer:
        """Ask for a large refund, have it approved and ask again."""
        held = await self.ask(LARGE, performer)
        await self.approve(held.request)
        return await self.ask(LARGE, performer)

    async def outcome(self, decision: str) -> str | None:
        """Return how a decision ended."""
        row = await self.store.read(lambda tx: find_decision(tx, decision))
        return None if row.outcome is None else str(row.outcome)

    def replaced(self) -> Ground:
        """The next plane on the same store, after this one was killed."""
        decider = Decider(self.store, self.view)
        return Ground(self.store, self.clock, self.view, decider, self.token)


@pytest.fixture
async def ground(store: Store, clock: RehearsalClock) -> Ground:
    """Put the small world in force and open a run."""
    view = CatalogueView(build_catalogue({}))
    files = [("w.yaml", WORLD), ("p.cedar", POLICY)]
    await Applying(store, view).apply(files, prune=False, actor="person/a")
    decider = Decider(store, view)
    secret = await store.write(lambda tx: enrol(tx, AGENT, ttl_seconds=60, actor="a"))
    credential = await store.write(lambda tx: redeem_enrolment(tx, secret.secret))
    _, issued = await Envelopes(decider).open(credential.secret, NewRun("refund", "person/c"))
    return Ground(store, clock, view, decider, issued.token)


async def test_the_same_call_joins_the_first_while_it_runs(ground: Ground) -> None:
    answers = await asyncio.gather(*(ground.ask(SMALL) for _ in range(20)))
    assert len({answer.decision for answer in answers}) == 1
    assert [answer.replay is None for answer in answers].count(True) == 1
    assert answers[-1].replay == {"status": "running", "result_digest": None}


async def test_a_key_of_its_own_makes_it_another_call(ground: Ground) -> None:
    first = await ground.ask(SMALL)
    other = await ground.ask(SMALL.model_copy(update={"idempotency_key": "k-1"}))
    third = await ground.ask(SMALL.model_copy(update={"idempotency_key": "k-2"}))
    assert len({first.decision, other.decision, third.decision}) == 3
    assert other.replay is third.replay is None


async def test_a_key_means_one_call_for_ever_and_its_result_for_a_while(ground: Ground) -> None:
    keyed = SMALL.model_copy(update={"idempotency_key": "k-1"})
    first = await ground.ask(keyed)
    await ground.end(first, result='{"content":[]}')
    ground.decider.taken.add(first.decision)
    again = await ground.ask(keyed)
    assert (again.decision, again.replay is None) == (first.decision, False)
    assert await ground.decider.recall(first.decision) == '{"content":[]}'
    ground.clock.advance(WINDOW + 1)
    await ground.store.write(purge_calls)
    later = await ground.ask(keyed)
    assert later.replay == {"status": "succeeded", "result_digest": None}
    assert await ground.decider.recall(first.decision) is None
    with pytest.raises(Conflict, match="another call"):
        await ground.ask(LARGE.model_copy(update={"idempotency_key": "k-1"}))


async def test_a_result_that_was_taken_makes_the_same_call_a_new_one(ground: Ground) -> None:
    first = await ground.ask(SMALL)
    await ground.end(first, result="{}")
    lost = await ground.ask(SMALL)
    assert (lost.decision, lost.replay is None) == (first.decision, False)
    ground.decider.taken.add(first.decision)
    fresh = await ground.ask(SMALL)
    assert fresh.replay is None
    assert fresh.decision != first.decision


async def test_an_approval_is_for_one_execution_within_its_window(ground: Ground) -> None:
    first = await ground.approved()
    assert first.replay is None
    await ground.end(first, result="{}")
    ground.decider.taken.add(first.decision)
    again = await ground.ask(LARGE)
    assert (again.decision, again.replay is None) == (first.decision, False)
    ground.clock.advance(WINDOW)
    later = await ground.ask(LARGE)
    assert later.verdict == "hold"
    assert later.request != first.request


@pytest.mark.parametrize("performer", ["plane", "agent"])
async def test_a_used_approval_stands_for_the_same_call(
    ground: Ground, performer: Performer
) -> None:
    first = await ground.approved(performer)
    again = await ground.ask(LARGE, performer)
    assert (again.decision, again.replay is None) == (first.decision, False)


async def test_reading_and_what_agents_do_themselves_are_asked_for_anew(ground: Ground) -> None:
    assert (await ground.ask(READ)).decision != (await ground.ask(READ)).decision
    own = [await ground.ask(SMALL, "agent") for _ in range(2)]
    assert own[0].decision != own[1].decision
    assert own[1].replay is None


async def test_a_call_that_never_began_may_be_made_again(ground: Ground) -> None:
    keyed = SMALL.model_copy(update={"idempotency_key": "k-1"})
    for ask in (SMALL, keyed):
        first = await ground.ask(ask)
        await ground.end(first, "failed", begun=False)
        again = await ground.ask(ask)
        assert again.replay is None
        assert again.decision != first.decision


async def test_after_a_crash_nobody_knows_and_it_is_not_run_again(ground: Ground) -> None:
    first = await ground.ask(SMALL)
    own = await ground.ask(SMALL, "agent")
    assert own.replay is not None  # the plane performs it: no second execution by the agent
    after = ground.replaced()
    assert await recover(after.decider) == 1
    again = await after.ask(SMALL)
    assert (again.decision, again.replay) == (
        first.decision,
        {"status": "unknown", "result_digest": None},
    )
    ground.clock.advance(WINDOW)
    assert (await after.ask(SMALL)).replay is None


async def test_an_agent_never_settles_what_the_plane_performs(ground: Ground) -> None:
    first = await ground.ask(SMALL)
    free = Outcome(status="succeeded")
    after = ground.replaced()
    for decider in (ground.decider, after.decider):
        with pytest.raises(Forbidden, match="the plane performs this itself"):
            await decider.settle(first.decision, free, token=ground.token)
    await recover(after.decider)
    with pytest.raises(Forbidden):
        await after.decider.settle(first.decision, free, token=ground.token)
    assert await ground.outcome(first.decision) == "unknown"


async def test_what_nobody_reports_ends_as_unknown_with_its_hold(ground: Ground) -> None:
    await recover(ground.decider)
    silent = await ground.ask(SMALL, "agent")
    flying = await ground.ask(READ)
    handlers = {SWEEP: sweeping(ground.decider)}

    async def sweep(seconds: float) -> None:
        at = ground.clock.advance(seconds)
        timers = await ground.store.read(lambda tx: due(tx, at, 10))
        for timer in (one for one in timers if one.kind == SWEEP):
            await ground.store.write(partial(fire, timer=timer, handlers=handlers))

    with ground.decider.in_flight(flying.decision, lambda: None):
        await sweep(HOLD_SECONDS - 1)
        assert await ground.outcome(silent.decision) is None
        await sweep(2)
        assert await ground.outcome(silent.decision) == "unknown"
        assert await ground.outcome(flying.decision) is None
    late = Outcome(status="succeeded")
    await ground.decider.settle(silent.decision, late, token=ground.token)
    assert await ground.outcome(silent.decision) == "succeeded"
    await ground.decider.settle(silent.decision, Outcome(status="failed"), token=ground.token)
    assert await ground.outcome(silent.decision) == "succeeded"
    await sweep(301)
    assert await ground.outcome(flying.decision) == "unknown"


async def test_an_index_answers_what_is_looked_for_in_all_decisions(ground: Ground) -> None:
    """SQLite tells how it would read; PostgreSQL's plan depends on how much there is."""

    def plans(tx: Transaction) -> list[str]:
        if tx.driver is None:
            return []
        found = []
        for statement in (unsettled._DUE, unsettled._OLDEST, records._BY_KEY):
            text = statement._local_plan().text
            values = [0] * text.count("?")
            rows = tx.driver.execute(f"explain query plan {text}", values).fetchall()
            found.append(" ".join(row[3] for row in rows))
        return found

    for plan in await ground.store.write(plans):
        assert "decisions_open" in plan or "decisions_by_key" in plan
        assert "SCAN" not in plan


async def test_a_large_result_is_not_kept(ground: Ground) -> None:
    first = await ground.ask(SMALL)
    await ground.end(first, result="x" * (LARGEST_RESULT + 1))
    assert (await ground.ask(SMALL)).replay == {"status": "succeeded", "result_digest": None}
    assert await ground.decider.recall(first.decision) is None
