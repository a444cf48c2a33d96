"""Deciding under standing approvals: proposing one, what it permits, what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.decide.still import POLICY, WORLD
from tests.rig.stores import sqlite_url
from watchkeeper.approvals import service as approvals
from watchkeeper.approvals.delegations import delegate
from watchkeeper.approvals.rows import find
from watchkeeper.approvals.standing import service as standing
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Forbidden, Invalid, WatchkeeperError
from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
from watchkeeper.decide.held.standing import propose_standing
from watchkeeper.decide.kill.owners import Onlookers, Owners
from watchkeeper.decide.kill.stop import KillSwitch
from watchkeeper.decide.notices.concerned import Notices
from watchkeeper.decide.people.directory import PeopleInForce
from watchkeeper.decide.policies.applying import Applying
from watchkeeper.decide.records import find_decision
from watchkeeper.decide.replay.differences import Differences
from watchkeeper.decide.replay.recorded import read_recorded
from watchkeeper.decide.replay.redecision import decide_again
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.decide.service import Decider
from watchkeeper.identity.enrolment import enrol, redeem_enrolment
from watchkeeper.identity.model import NewRun
from watchkeeper.identity.recorded import recorded_run
from watchkeeper.kill.model import LockTarget, NewLock
from watchkeeper.store.journal import events
from watchkeeper.store.store import Store
from watchkeeper.wire.decisions import Answer, Ask
from watchkeeper.wire.standing import ProposeStanding

AGENT, TOOL = "refund-assistant", "stripe.create_refund"
USD = 1_000_000
NO_MONEY = {"each_micros": None, "total_micros": None}
LEAD_DECIDES = POLICY.replace('"finance-ops"', '"finance-lead"')
PEOPLE = WORLD.replace(
    "{name: finance-ops, members: [owner]}", "{name: finance-ops, members: [owner, ada, dora]}"
)


@dataclass
class Ground:
    """A decider over a store of its own; runs are opened on behalf of whoever is named."""

    store: Store
    decider: Decider
    applying: Applying
    kill: KillSwitch
    credential: str

    async def run(self, on_behalf_of: str | None = "person/customer") -> str:
        """Open a run and return its token."""
        _, issued = await Envelopes(self.decider).open(
            self.credential, NewRun("refund", on_behalf_of)
        )
        return issued.token

    async def ask(self, token: str, amount: float = 300, charge: str = "ch_1") -> Answer:
        """Ask for a refund."""
        arguments = {"charge_id": charge, "amount_usd": amount}
        return await self.decider.decide(token, Ask(name=TOOL, arguments=arguments))

    async def propose(self, person: str = "person/paul", **changes: Any) -> str:
        """Propose three refunds of ch_1 of $400 each."""
        body = proposal(**changes)
        return await self.store.write(
            lambda tx: propose_standing(
                tx,
                self.decider.catalogue.now,
                body,
                person=person,
                coverage=self.decider.coverage,
            )
        )

    async def approve(self, name: str, person: str = "person/ada") -> None:
        """Approve it as one of finance-ops."""

        def unit(tx: Any) -> None:
            row = find(tx, standing.find_standing_approval(tx, name).request)
            approvals.cast_vote(
                tx,
                row.request,
                person=person,
                roles=frozenset({"finance-ops"}),
                verdict="approve",
                digest=row.digest,
                people=PeopleInForce(tx, self.decider.catalogue.now),
            )

        await self.store.write(unit)

    async def stands(self, **changes: Any) -> str:
        """One that was proposed and approved."""
        name = await self.propose(**changes)
        await self.approve(name)
        return name

    async def row(self, name: str) -> Any:
        """Its row."""
        return await self.store.read(lambda tx: standing.find_standing_approval(tx, name))

    async def request(self, name: str) -> Any:
        """The row of a request."""
        return await self.store.read(lambda tx: find(tx, name))


def proposal(**changes: Any) -> ProposeStanding:
    values: dict[str, Any] = {
        "agent": AGENT,
        "tool": TOOL,
        "pins": {"charge_id": "ch_1"},
        "uses": 3,
        "seconds": 3600,
        "each_micros": 400 * USD,
        "total_micros": 1200 * USD,
        "reason": "a known customer",
    }
    return ProposeStanding(**{k: v for k, v in {**values, **changes}.items() if v is not None})


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    """Put the small world in force."""
    async with await Store.open(sqlite_url(tmp_path), RehearsalClock(frozen=True)) as store:
        view = CatalogueView(build_catalogue({}))
        applying = Applying(store, view)
        files = [("w.yaml", PEOPLE), ("p.cedar", POLICY)]
        await applying.apply(files, prune=False, actor="person/a")
        decider = Decider(store, view)
        secret = await store.write(lambda tx: enrol(tx, AGENT, ttl_seconds=60, actor="a"))
        credential = await store.write(lambda tx: redeem_enrolment(tx, secret.secret))
        told = Owners(decider, Notices(decider.coverage, "root"), Onlookers())
        kill = KillSwitch(decider, [told])
        yield Ground(store, decider, applying, kill, credential.secret)


async def test_what_stands_permits_and_the_decision_names_it(ground: Ground) -> None:
    name = await ground.stands()
    answer = await ground.ask(await ground.run())
    assert (answer.verdict, answer.rule) == ("permit", f"standing/{name}")
    assert "by person/ada" in answer.reason
    row = await ground.row(name)
    assert (row.uses, row.used_micros) == (1, 300 * USD)
    query = select(events.c.body).where(events.c.type == "decision.permitted")
    bodies = await ground.store.read(lambda tx: list(tx.connection.execute(query).scalars()))
    assert f'"standing":"{name}"' in bodies[0]
    assert '"approved_by":["person/ada"]' in bodies[0]


async def test_what_needs_no_approval_uses_none_of_it(ground: Ground) -> None:
    name = await ground.stands()
    answer = await ground.ask(await ground.run(), amount=20)
    assert answer.verdict == "permit"
    assert (await ground.row(name)).uses == 0


@pytest.mark.parametrize(("amount", "charge"), [(300, "ch_2"), (401, "ch_1")])
async def test_what_it_is_not_for_is_held(ground: Ground, amount: float, charge: str) -> None:
    await ground.stands()
    assert (await ground.ask(await ground.run(), amount, charge)).verdict == "hold"


async def test_fifty_callers_at_once_get_three_permits(ground: Ground) -> None:
    name = await ground.stands()
    tokens = [await ground.run() for _ in range(50)]
    answers = await asyncio.gather(*(ground.ask(token) for token in tokens))
    verdicts = [answer.verdict for answer in answers]
    assert (verdicts.count("permit"), verdicts.count("hold")) == (3, 47)
    assert (await ground.row(name)).state == "ended"


async def test_a_request_that_waited_is_superseded_once_it_stands(ground: Ground) -> None:
    token = await ground.run()
    held = await ground.ask(token)
    assert held.request is not None
    name = await ground.stands()
    assert (await ground.request(held.request)).state == "pending"
    assert (await ground.ask(token)).rule == f"standing/{name}"
    row = await ground.request(held.request)
    assert (row.state, row.standing, row.decided_by) == ("superseded", name, "person/ada")


async def test_what_a_person_rejected_stays_rejected(ground: Ground) -> None:
    token = await ground.run()
    held = await ground.ask(token)
    assert held.request is not None
    row = await ground.request(held.request)
    await ground.store.write(
        lambda tx: approvals.cast_vote(
            tx,
            row.request,
            person="person/ada",
            roles=frozenset({"finance-ops"}),
            verdict="reject",
            digest=row.digest,
        )
    )
    await ground.stands()
    assert (await ground.ask(token)).verdict == "deny"
    assert (await ground.ask(await ground.run())).verdict == "permit"


@pytest.mark.parametrize("person", ["ada", "person/Ada", "paul"])
async def test_nothing_is_done_with_it_on_behalf_of_who_agreed(ground: Ground, person: str) -> None:
    await ground.stands()
    assert (await ground.ask(await ground.run(person))).verdict == "hold"


async def test_nor_on_behalf_of_a_delegate_of_theirs(ground: Ground) -> None:
    name = await ground.stands()
    await ground.store.write(
        lambda tx: delegate(
            tx,
            "ada",
            "dora",
            PeopleInForce(tx, ground.decider.catalogue.now),
            ends_at=tx.now + 3600 * 1_000_000,
        )
    )
    assert (await ground.ask(await ground.run("dora"))).verdict == "hold"
    assert (await ground.ask(await ground.run("dan"))).rule == f"standing/{name}"


async def test_an_exact_approval_is_used_before_it(ground: Ground) -> None:
    token = await ground.run()
    held = await ground.ask(token)
    row = await ground.request(held.request or "")
    await ground.store.write(
        lambda tx: approvals.cast_vote(
            tx,
            row.request,
            person="person/ada",
            roles=frozenset({"finance-ops"}),
            verdict="approve",
            digest=row.digest,
        )
    )
    name = await ground.stands()
    assert (await ground.ask(token)).rule == f"approval/{held.request}"
    assert (await ground.row(name)).uses == 0


async def test_a_policy_that_asks_somebody_else_by_now_is_asked(ground: Ground) -> None:
    await ground.stands()
    await ground.applying.apply([("p.cedar", LEAD_DECIDES)], prune=False, actor="person/a")
    assert (await ground.ask(await ground.run())).verdict == "hold"


async def test_it_ends_when_who_approved_it_is_taken_off_the_role(ground: Ground) -> None:
    name = await ground.stands()
    await ground.applying.apply([("w.yaml", WORLD)], prune=False, actor="person/a")
    assert (await ground.ask(await ground.run())).verdict == "hold"
    row = await ground.row(name)
    assert (row.state, row.ended_why) == (
        "ended",
        "ada approved it, and is gone or off the role since",
    )
    await ground.applying.apply([("w.yaml", PEOPLE)], prune=False, actor="person/a")
    assert (await ground.ask(await ground.run())).verdict == "hold"


@pytest.mark.parametrize("what", ["agent", "tool"])
async def test_a_changed_contract_ends_it(ground: Ground, what: str) -> None:
    name, proposed = await ground.stands(), await ground.propose(uses=2)
    old = {"agent": "max_steps: 12", "tool": "does: Refunds a charge"}[what]
    new = {"agent": "max_steps: 13", "tool": "does: Refunds a charge at once"}[what]
    world = PEOPLE.replace(old, new)
    assert world != PEOPLE
    await ground.applying.apply([("w.yaml", world)], prune=False, actor="person/a")
    row = await ground.row(name)
    assert (row.state, row.ended_by) == ("ended", "plane")
    assert row.ended_why.endswith("changed")
    gone = await ground.row(proposed)
    assert (gone.state, (await ground.request(gone.request)).state) == ("ended", "cancelled")
    assert (await ground.ask(await ground.run())).verdict == "hold"
    await ground.applying.apply([("w.yaml", PEOPLE)], prune=False, actor="person/a")
    assert (await ground.ask(await ground.run())).verdict == "hold"


@pytest.mark.parametrize(
    "target",
    [
        LockTarget("agent", AGENT),
        LockTarget("tool", TOOL),
        LockTarget("team", "finance-ops"),
        LockTarget("everything", "*"),
    ],
    ids=lambda one: one.kind,
)
async def test_a_kill_ends_it_for_good(ground: Ground, target: LockTarget) -> None:
    name, proposed = await ground.stands(), await ground.propose(uses=2)
    lock, receipts = await ground.kill.lock(
        NewLock(target, mode="stop", reason="odd", by="person/a")
    )
    row = await ground.row(name)
    assert (row.state, row.ended_by) == ("ended", f"lock/{lock.lock}")
    assert (await ground.row(proposed)).state == "ended"
    (said,) = [one.detail for one in receipts if one.effect == "prevent retries"]
    assert "standing approvals ended: 2" in said
    await ground.kill.lift(lock.lock, reason="over", by="person/a")
    assert (await ground.ask(await ground.run())).verdict == "hold"


async def test_a_pause_only_keeps_it_from_being_used(ground: Ground) -> None:
    name, token = await ground.stands(), await ground.run()
    target = LockTarget("agent", AGENT)
    lock, _ = await ground.kill.lock(NewLock(target, mode="pause", reason="odd", by="person/a"))
    assert (await ground.ask(token)).verdict == "deny"
    await ground.kill.lift(lock.lock, reason="over", by="person/a")
    assert (await ground.ask(token)).rule == f"standing/{name}"


async def test_it_is_asked_of_whom_the_largest_such_action_is(ground: Ground) -> None:
    name = await ground.propose()
    row = await ground.row(name)
    request = await ground.request(row.request)
    assert (row.groups, row.risk) == ('[["finance-ops", 1]]', "high")
    assert (request.role, request.kind, request.run) == ("finance-ops", "standing", name)
    assert request.asks.startswith(f"let {AGENT} call {TOOL} with charge_id")
    assert await ground.propose() == name
    assert await ground.propose("person/grace") != name


async def test_a_replay_counts_it_as_the_approval_that_it_was(ground: Ground) -> None:
    await ground.stands()
    answer = await ground.ask(await ground.run())

    def recorded(tx: Any) -> Any:
        row = find_decision(tx, answer.decision)
        return read_recorded(row, recorded_run(tx, row.run))

    was = await ground.store.read(recorded)
    anew = decide_again(was, ground.decider.catalogue.now)
    found = Differences()
    found.add(was, anew.how, anew.ruling)
    assert (found.same, found.differ, found.other_rule) == (1, 0, 0)


async def test_what_people_propose_buries_no_approver(ground: Ground) -> None:
    await ground.propose()
    assert await ground.store.read(lambda tx: approvals.count_waiting(tx, AGENT)) == 0
    await ground.ask(await ground.run())
    assert await ground.store.read(lambda tx: approvals.count_waiting(tx, AGENT)) == 1


async def test_a_proposal_takes_its_values_from_a_request(ground: Ground) -> None:
    held = await ground.ask(await ground.run())
    name = await ground.propose(
        agent=None, tool=None, pins={}, each_micros=None,
        request=held.request, pin=("charge_id",),
    )  # fmt: skip
    row = await ground.row(name)
    assert (row.agent, row.pins) == (AGENT, '{"charge_id":"ch_1"}')
    assert (row.each_micros, row.total_micros) == (300 * USD, 1200 * USD)


@pytest.mark.parametrize(
    ("changes", "kind", "rule"),
    [
        ({"tool": "cloud.delete", **NO_MONEY}, Forbidden, "critical"),
        ({"tool": "stripe.lookup_charge", **NO_MONEY}, Invalid, "not-needed"),
        ({"each_micros": 100 * USD}, Invalid, "not-needed"),
        ({"pins": {"charge": "ch_1"}}, Invalid, "scope"),
        ({"total_micros": None}, Invalid, "scope"),
        ({"tool": "nobody.knows"}, Forbidden, "tools"),
        ({"agent": "nobody"}, Invalid, "scope"),
        ({"pins": {"note": "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc"}}, Invalid, "secret"),
    ],
    ids=str,
)  # fmt: skip
async def test_what_may_not_stand_is_not_proposed(
    ground: Ground, changes: Any, kind: type[WatchkeeperError], rule: str
) -> None:
    with pytest.raises(kind) as refused:
        await ground.propose(**changes)
    assert (refused.value.rule or "").endswith(rule)
