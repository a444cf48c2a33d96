"""Deciding over a store: keys, locks and what is remembered of permits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.decide.still import POLICY, WORLD
from tests.rig.stores import sqlite_url
from watchkeeper.approvals.rows import find
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
from watchkeeper.decide.kill.flight import MOST_EXPECTED, Flights
from watchkeeper.decide.kill.owners import Onlookers, Owners
from watchkeeper.decide.kill.stop import KillSwitch
from watchkeeper.decide.notices.concerned import Notices
from watchkeeper.decide.policies.applying import Applying
from watchkeeper.decide.records import newest_decisions
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.decide.service import Decider
from watchkeeper.identity.enrolment import enrol, redeem_enrolment
from watchkeeper.identity.model import NewRun
from watchkeeper.kill.model import Covered, LockTarget, NewLock
from watchkeeper.store.store import Store
from watchkeeper.wire.decisions import Ask, Outcome
from watchkeeper.wire.locks import TargetKind

AGENT = "refund-assistant"
REFUND = Ask(
    name="stripe.create_refund",
    arguments={"charge_id": "ch_1", "amount_usd": 20},
    idempotency_key="k-1",
)


@dataclass
class Ground:
    """A decider over a store of its own, with one open run."""

    store: Store
    decider: Decider
    kill: KillSwitch
    run: str
    token: str


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    """Put the small world in force and open a run."""
    async with await Store.open(sqlite_url(tmp_path), RehearsalClock(frozen=True)) as store:
        view = CatalogueView(build_catalogue({}))
        files = [("w.yaml", WORLD), ("p.cedar", POLICY)]
        await Applying(store, view).apply(files, prune=False, actor="person/a")
        decider = Decider(store, view)
        secret = await store.write(lambda tx: enrol(tx, AGENT, ttl_seconds=60, actor="a"))
        credential = await store.write(lambda tx: redeem_enrolment(tx, secret.secret))
        new = NewRun("refund", "person/customer")
        _, issued = await Envelopes(decider).open(credential.secret, new)
        yield Ground(
            store,
            decider,
            KillSwitch(decider, [Owners(decider, Notices(decider.coverage, "root"), Onlookers())]),
            issued.run,
            issued.token,
        )


@pytest.mark.parametrize(
    ("kind", "name"), [("agent", AGENT), ("run", None), ("tool", REFUND.name), ("everything", "*")]
)
async def test_a_key_that_ran_is_not_answered_with_a_permit_under_a_lock(
    ground: Ground, kind: TargetKind, name: str | None
) -> None:
    first = await ground.decider.decide(ground.token, REFUND)
    await ground.decider.settle(first.decision, Outcome(status="succeeded"))
    again = await ground.decider.decide(ground.token, REFUND)
    assert (again.verdict, again.decision) == ("permit", first.decision)
    assert again.replay == {"status": "succeeded", "result_digest": None}
    target = LockTarget(kind, name or ground.run)
    lock, _ = await ground.kill.lock(NewLock(target, mode="stop", reason="odd", by="person/a"))
    refused = await ground.decider.decide(ground.token, REFUND)
    assert (refused.verdict, refused.rule) == ("deny", f"lock/{lock.lock}")
    await ground.kill.lift(lock.lock, reason="over", by="person/a")
    after = await ground.decider.decide(ground.token, REFUND)
    stopped = kind != "tool"
    assert after.rule == ("lock/run-stopped" if stopped else first.rule)
    assert (after.replay is None) is stopped


async def test_a_lock_cuts_what_flies_though_its_caller_hung_up_at_the_commit(
    ground: Ground,
) -> None:
    permit = await ground.decider.decide(ground.token, REFUND, performer="plane")
    cuts: list[str] = []
    with ground.decider.in_flight(permit.decision, lambda: cuts.append("cut")) as flight:
        asking = asyncio.create_task(
            ground.kill.lock(
                NewLock(LockTarget("agent", AGENT), mode="stop", reason="odd", by="person/a")
            )
        )
        await asyncio.sleep(0)  # it is queued
        await asyncio.sleep(0)  # it is committed, and its caller not yet told
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        (lock,) = ground.decider.locks
        assert (cuts, flight.cancelled) == (["cut"], lock.lock)


def test_permits_that_nobody_performs_are_forgotten_oldest_first() -> None:
    flights, nothing = Flights(), build_catalogue({})
    for number in range(MOST_EXPECTED + 1):
        flights.expect(str(number), Covered("run_1", AGENT, "finance-ops"), nothing)
    with pytest.raises(LookupError), flights.fly("0", lambda: None, lambda covered: None):
        pass
    with flights.fly("1", lambda: None, lambda covered: None):
        assert flights.is_flying("1")


async def test_the_newest_decision_is_found_for_each_run_and_agent(ground: Ground) -> None:
    await ground.decider.decide(ground.token, REFUND)
    newest = await ground.decider.decide(ground.token, Ask(name="ghost.tool"))
    by_run = await ground.store.read(
        lambda tx: newest_decisions(tx, "run", (ground.run, "run_none"))
    )
    by_agent = await ground.store.read(lambda tx: newest_decisions(tx, "agent", (AGENT,)))
    assert {name: row.decision for name, row in by_run.items()} == {ground.run: newest.decision}
    assert by_agent[AGENT].decision == newest.decision


async def test_a_hold_says_until_when_it_waits(ground: Ground) -> None:
    large = {"charge_id": "ch_1", "amount_usd": 300}
    held = await ground.decider.decide(ground.token, Ask(name=REFUND.name, arguments=large))
    assert held.request is not None
    row = await ground.store.read(lambda tx: find(tx, held.request or ""))
    assert (held.verdict, held.expires_at) == ("hold", row.decide_by)
