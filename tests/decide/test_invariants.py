"""Agents ask, people decide, locks fall, time passes: what must hold at every commit."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import text

from tests.decide.still import POLICY, WORLD
from tests.rig.machines import machine_settings
from tests.rig.stores import sqlite_url
from watchkeeper.approvals import service as approvals
from watchkeeper.approvals.timers import HANDLERS as APPROVAL_TIMERS
from watchkeeper.budgets.timers import HANDLERS as BUDGET_TIMERS
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Conflict, Forbidden, Unauthenticated
from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
from watchkeeper.decide.kill.owners import Onlookers, Owners
from watchkeeper.decide.kill.stop import KillSwitch
from watchkeeper.decide.notices.concerned import Notices
from watchkeeper.decide.policies.applying import Applying
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.decide.service import Decider
from watchkeeper.identity.enrolment import enrol, redeem_enrolment
from watchkeeper.identity.model import NewRun
from watchkeeper.kill.model import LockTarget, NewLock
from watchkeeper.plane.timers import StoredTimers
from watchkeeper.store.store import Store
from watchkeeper.wire.decisions import Answer, Ask, Outcome, Usage

T = TypeVar("T")
TIMERS = {**APPROVAL_TIMERS, **BUDGET_TIMERS}
TEAM_CAP = 9
WORLD_WITH_BUDGET = (
    WORLD
    + f"""---
budget: {{name: team, scope: team/finance-ops, period: day, limits: {{tool_calls: {TEAM_CAP}}}}}
"""
)
PEOPLE = ("ada", "customer")
AMOUNTS = (20, 300, 4000)


class Fleet(RuleBasedStateMachine):
    """One agent, two people, one plane that is restarted at will."""

    @initialize()
    def begin(self) -> None:
        """Open an empty store and put the world in force."""
        self.loop = asyncio.new_event_loop()
        self.directory = Path(tempfile.mkdtemp())
        self.clock = RehearsalClock(frozen=True)
        self.runs: list[tuple[str, str]] = []
        self.permits: list[Answer] = []
        self.locks: list[str] = []
        self.topped_up = 0
        self.run(self._open())
        self.run(
            self.applying.apply(
                [("w.yaml", WORLD_WITH_BUDGET), ("p.cedar", POLICY)], prune=False, actor="person/a"
            )
        )
        secret = self.write(lambda tx: enrol(tx, "refund-assistant", ttl_seconds=60, actor="a"))
        self.credential = self.write(lambda tx: redeem_enrolment(tx, secret.secret)).secret

    def run(self, work: Awaitable[T]) -> T:
        """Drive the plane's loop."""
        return self.loop.run_until_complete(work)

    def write(self, unit: Callable[[Any], T]) -> T:
        """Write a unit."""
        return self.run(self.store.write(unit))

    async def _open(self) -> None:
        self.store = await Store.open(sqlite_url(self.directory), self.clock)
        view = CatalogueView(build_catalogue({}))
        self.applying = Applying(self.store, view)
        await self.applying.load()
        self.decider = Decider(self.store, view)
        told = Owners(self.decider, Notices(self.decider.coverage, "root"), Onlookers())
        self.kill = KillSwitch(self.decider, [told])
        await self.kill.view.load()
        self.envelopes = Envelopes(self.decider)

    def rows(self, query: str) -> list[Any]:
        """Read rows with plain SQL: the tests look at what is stored, not at what is said."""
        return self.run(
            self.store.read(lambda tx: list(tx.connection.execute(text(query)).fetchall()))
        )

    @rule()
    def restart(self) -> None:
        """Close the plane and open it again."""
        self.run(self.store.close())
        self.run(self._open())

    @rule()
    def open_run(self) -> None:
        """The agent opens a run on a customer's behalf."""
        try:
            _, issued = self.run(
                self.envelopes.open(self.credential, NewRun("refund", "person/customer"))
            )
        except Forbidden as error:
            assert error.code == "locked"
            assert self.locks
            return
        self.runs.append((issued.run, issued.token))

    @precondition(lambda self: self.runs)
    @rule(amount=st.sampled_from(AMOUNTS), times=st.integers(1, 4))
    def ask_in_the_newest_run(self, amount: int, times: int) -> None:
        """The agent goes on with what it is at."""
        self.ask(*self.runs[-1], amount, times)

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), amount=st.sampled_from(AMOUNTS))
    def ask_in_any_run(self, data: st.DataObject, amount: int) -> None:
        """The agent comes back to an older run, ended or stopped or not."""
        self.ask(*data.draw(st.sampled_from(self.runs)), amount, 1)

    def ask(self, run: str, token: str, amount: int, times: int) -> None:
        """Ask for the same refund several times at once."""
        wanted = Ask(
            name="stripe.create_refund", arguments={"charge_id": "ch_1", "amount_usd": amount}
        )

        async def all_at_once() -> list[Answer | BaseException]:
            return await asyncio.gather(
                *(self.decider.decide(token, wanted) for _ in range(times)), return_exceptions=True
            )

        granted = len(self.rows(f"select 1 from requests where state='approved' and run='{run}'"))
        permitted = []
        for answer in self.run(all_at_once()):
            if isinstance(answer, Unauthenticated):
                continue
            assert isinstance(answer, Answer)
            if answer.verdict == "permit":
                permitted.append(answer)
        if permitted:
            assert not self.locks, "nothing covered is permitted while a lock is in force"
        # a replay tells of what ran before; nothing runs under it
        fresh = [answer for answer in permitted if answer.replay is None]
        if amount > 200:
            assert len(fresh) <= min(granted, 1), "each grant is redeemed once"
        self.permits += fresh

    @precondition(lambda self: self.permits)
    @rule(data=st.data(), status=st.sampled_from(["succeeded", "failed", "unknown"]))
    def settle(self, data: st.DataObject, status: Any) -> None:
        """An action ends; said twice it ends once."""
        answer = data.draw(st.sampled_from(self.permits))
        for _ in range(2):
            self.run(self.decider.settle(answer.decision, Outcome(status=status, usage=Usage())))

    @rule(amount=st.sampled_from(AMOUNTS[1:]), locked=st.booleans())
    def hold_approve_and_ask_again(self, amount: int, locked: bool) -> None:
        """The usual way of a held action, sometimes with a lock between yes and doing it."""
        if not self.locks:
            self.open_run()
            self.ask(*self.runs[-1], amount, 2)
            self.vote("ada", "approve", "finance-ops", stale=False)
            if locked:
                self.lock("stop", wide=False)
            self.ask(*self.runs[-1], amount, 3)

    @rule(
        person=st.sampled_from(PEOPLE),
        verdict=st.sampled_from(["approve", "reject"]),
        role=st.sampled_from(["finance-ops", "finance-lead", "legal"]),
        stale=st.booleans(),
    )
    def vote(self, person: str, verdict: Any, role: str, stale: bool) -> None:
        """Somebody decides the oldest request, with or without the right to."""
        open_requests = self.rows("select request, digest, state from requests order by request")
        if not open_requests:
            return
        request, digest, state = open_requests[-1]
        try:
            self.write(
                lambda tx: approvals.cast_vote(
                    tx,
                    request,
                    person=person,
                    roles=frozenset({role}),
                    verdict=verdict,
                    digest="sha256:0" if stale else digest,
                    reason="because",
                )
            )
        except (Conflict, Forbidden):
            return
        assert state == "pending"
        assert not stale
        assert person != "customer", "nobody approves what is done on their behalf"
        assert role != "legal"

    @precondition(lambda self: len(self.locks) < 2)
    @rule(mode=st.sampled_from(["stop", "pause"]), wide=st.booleans())
    def lock(self, mode: Any, wide: bool) -> None:
        """A lock falls on the agent or on everything."""
        target = LockTarget("everything", "*") if wide else LockTarget("agent", "refund-assistant")
        lock, receipts = self.run(
            self.kill.lock(NewLock(target, mode=mode, reason="drill", by="person/ada"))
        )
        assert len(receipts) == 8
        self.locks.append(lock.lock)

    @precondition(lambda self: self.locks)
    @rule(data=st.data())
    def lift(self, data: st.DataObject) -> None:
        """A lock is lifted; the others stay in force."""
        lock = data.draw(st.sampled_from(self.locks))
        self.run(self.kill.lift(lock, reason="done", by="person/ada"))
        self.locks.remove(lock)

    @rule(seconds=st.sampled_from([1, 61, 301, 1000, 4000]))
    def pass_time(self, seconds: int) -> None:
        """Time passes and every due timer runs."""
        self.clock.advance(seconds)
        timers = StoredTimers(self.store, TIMERS)

        async def sweep() -> None:
            while await timers.run_due(50):
                pass

        self.run(sweep())

    @invariant()
    def executed_means_permitted_with_the_same_digest(self) -> None:
        """Whatever was settled was permitted; what was held redeemed its own grant."""
        if not hasattr(self, "store"):
            return
        assert not self.rows("select 1 from decisions where outcome is not null "
                             "and verdict <> 'permit'")  # fmt: skip
        assert not self.rows(
            "select 1 from decisions d join requests r on r.request = d.request "
            "where d.verdict = 'permit' and (d.digest <> r.digest or r.state in "
            "('pending', 'denied', 'expired', 'revoked', 'lapsed'))"
        )
        doubles = self.rows(
            "select request from decisions where verdict = 'permit' and request is not null "
            "group by request having count(*) > 1"
        )
        assert not doubles
        large = [a for a in self.permits if a.request is None]
        assert all(a.rule.startswith("policy/") for a in large)

    @invariant()
    def budgets_hold(self) -> None:
        """What is posted and held stays within every cap."""
        if not hasattr(self, "store"):
            return
        for scope, posted, held in self.rows(
            "select scope, posted_tool_calls, held_tool_calls from budget_balances"
        ):
            cap = TEAM_CAP if scope.startswith("team/") else 12
            assert posted + held <= cap, scope

    @invariant()
    def every_decision_and_every_lock_has_its_event(self) -> None:
        """State and ledger tell the same story."""
        if not hasattr(self, "store"):
            return
        ((decided,),) = self.rows("select count(*) from decisions")
        ((told,),) = self.rows("select count(*) from events where type like 'decision.%'")
        assert decided == told
        ((locked,),) = self.rows("select count(*) from locks")
        ((said,),) = self.rows("select count(*) from events where type = 'lock.created'")
        assert locked == said

    @invariant()
    def nothing_pending_is_forgotten(self) -> None:
        """Each pending request has exactly one timer, and nothing else has."""
        if not hasattr(self, "store"):
            return
        forgotten = self.rows(
            "select r.request, r.state, count(t.id) from requests r left join timers t "
            "on t.ref = r.request group by r.request, r.state"
        )
        for _, state, timers in forgotten:
            assert timers == (1 if state in {"pending", "approved"} else 0), state

    def teardown(self) -> None:
        """Close and clean up."""
        if hasattr(self, "store"):
            self.run(self.store.close())
            self.loop.close()
            shutil.rmtree(self.directory)


TestFleet = Fleet.TestCase
TestFleet.settings = machine_settings(examples=12)
