"""Whatever budgets are told to do as they are used up: no cap is passed, nothing is asked twice."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import Awaitable
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
from watchkeeper.budgets.changes import HANDLERS as CAP_TIMERS
from watchkeeper.budgets.timers import HANDLERS as BUDGET_TIMERS
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Conflict, WatchkeeperError
from watchkeeper.decide.budgets.capping import Capping
from watchkeeper.decide.budgets.rows import caps_named
from watchkeeper.decide.catalogue import CatalogueView, build_catalogue
from watchkeeper.decide.kill.owners import Onlookers, Owners
from watchkeeper.decide.kill.stop import KillSwitch
from watchkeeper.decide.notices.concerned import Notices
from watchkeeper.decide.policies.applying import Applying
from watchkeeper.decide.runs.envelope import Envelopes
from watchkeeper.decide.service import Decider
from watchkeeper.identity.enrolment import enrol, redeem_enrolment
from watchkeeper.identity.model import NewRun
from watchkeeper.plane.timers import StoredTimers
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.budgets import CapChange
from watchkeeper.wire.decisions import Answer, Ask, Outcome, Usage

T = TypeVar("T")
TIMERS = {**APPROVAL_TIMERS, **BUDGET_TIMERS, **CAP_TIMERS}
AGENT = "refund-assistant"
ID = "team/finance-ops/day/spend"
CAP = 4000
AMPLE = WORLD.replace("{max_steps: 12, max_cost_usd_per_run: 0.75}", "{}")
RESPONSES: tuple[dict[str, Any], ...] = (
    {"at": 60, "do": "degrade", "model": "small-fast"},
    {"at": 70, "do": "throttle", "rate": {"calls": 2, "per": "minute"}},
    {"do": "ask", "top_up_percent": 50},
    {"do": "pause"},
    {"at": 80, "do": "pause"},
)


def budget(responses: list[dict[str, Any]]) -> str:
    document = {
        "name": "day",
        "scope": "team/finance-ops",
        "period": "day",
        "limits": {"spend_usd": 0.004},
        "warn_at": [50, 90],
        "responses": responses,
    }
    return json.dumps({"budget": document})


class Responses(RuleBasedStateMachine):
    """One budget with any responses, calls of any size, and people who decide what they like."""

    @initialize(chosen=st.lists(st.sampled_from(range(len(RESPONSES))), unique=True, max_size=4))
    def begin(self, chosen: list[int]) -> None:
        """Open an empty store and put the world in force."""
        self.loop = asyncio.new_event_loop()
        self.clock = RehearsalClock(frozen=True)
        self.permits: list[Answer] = []
        self.highest = CAP
        self.store = self.run(Store.open(sqlite_url(Path(tempfile.mkdtemp())), self.clock))
        self.view = CatalogueView(build_catalogue({}))
        self.decider = Decider(self.store, self.view)
        told = Owners(self.decider, Notices(self.decider.coverage, "root"), Onlookers())
        self.kill = KillSwitch(self.decider, [told])
        self.capping = Capping(self.store, self.view)
        files = [
            ("w.yaml", AMPLE),
            ("p.cedar", POLICY),
            ("b.yaml", budget([RESPONSES[one] for one in chosen])),
        ]
        applying = Applying(self.store, self.view)
        self.run(applying.apply(files, prune=False, actor="person/a"))
        secret = self.run(self.store.write(lambda tx: enrol(tx, AGENT, ttl_seconds=60, actor="a")))
        self.credential = self.run(
            self.store.write(lambda tx: redeem_enrolment(tx, secret.secret))
        ).secret
        self.open_run()

    def open_run(self) -> None:
        """Open a run, whose token outlives what follows."""
        _, issued = self.run(
            Envelopes(self.decider).open(self.credential, NewRun("refund", "person/customer"))
        )
        self.token = issued.token

    def run(self, work: Awaitable[T]) -> T:
        """Drive the plane's loop."""
        return self.loop.run_until_complete(work)

    def rows(self, query: str) -> list[Any]:
        """Read rows with plain SQL."""
        return self.run(
            self.store.read(lambda tx: list(tx.connection.execute(text(query)).fetchall()))
        )

    @rule(
        tokens=st.sampled_from([0, 20, 300, 1500, 4000]),
        lowers=st.booleans(),
        cost=st.sampled_from([0, 1, 700]),
    )
    def call(self, tokens: int, lowers: bool, cost: int) -> None:
        """The agent asks for a model call that it performs by itself."""
        ask = Ask(
            kind="model",
            name="small-fast",
            estimate=Usage(input_tokens=50, output_tokens=tokens, cost_micros=cost),
            fulfils=("max_output_tokens", "route") if lowers else (),
        )
        answer = self.run(self.decider.decide(self.token, ask))
        if answer.verdict == "permit":
            self.permits.append(answer)
            for duty in answer.obligations:
                if duty.max_output_tokens is not None:
                    assert lowers
                    assert 16 <= duty.max_output_tokens < tokens
        else:
            assert answer.rule.startswith(("budget/", "lock/", "contract/")), answer

    @precondition(lambda self: self.permits)
    @rule(share=st.sampled_from([0, 3, 10]), status=st.sampled_from(["succeeded", "unknown"]))
    def settle(self, share: int, status: Any) -> None:
        """A call ends, with no more used than it was permitted."""
        answer = self.permits.pop()
        query = f"select reserved_spend from budget_holds where decision = '{answer.decision}'"
        ((held,),) = self.rows(query)
        usage = Usage(cost_micros=held * share // 10)
        self.run(self.decider.settle(answer.decision, Outcome(status=status, usage=usage)))

    @rule(verdict=st.sampled_from(["approve", "approve", "reject"]))
    def decide(self, verdict: Any) -> None:
        """A person decides what waits."""
        for request, digest in self.rows(
            "select request, digest from requests where state = 'pending'"
        ):

            def vote(tx: Transaction, request: str = request, digest: str = digest) -> None:
                approvals.cast_vote(
                    tx,
                    request,
                    person="person/ada",
                    roles=frozenset({"finance-ops", "owner", "finance-lead"}),
                    verdict=verdict,
                    digest=digest,
                    reason="so",
                )

            try:
                self.run(self.store.write(vote))
            except Conflict as error:
                assert error.code == "expired"

    @rule(cap=st.sampled_from([None, 0, 1500, 4000, 7000]))
    def change_cap(self, cap: int | None) -> None:
        """A person changes the cap, or takes that back."""
        caps = caps_named(self.view.now, ID)

        def unit(tx: Transaction) -> None:
            change = CapChange(cap=cap, reason="so")
            self.capping.change_in(tx, ID, change, caps=caps, actor="person/ada")

        try:
            self.run(self.store.write(unit))
        except Conflict as error:
            assert error.code == "not_changed"
        else:
            self.highest = max(self.highest, cap or 0)

    @rule()
    def resume(self) -> None:
        """A person lifts what the plane paused."""
        for lock in list(self.decider.locks):
            self.run(self.kill.lift(lock.lock, reason="go on", by="person/ada"))

    @rule(seconds=st.sampled_from([1, 40, 600, 90_000]))
    def wait(self, seconds: int) -> None:
        """Time passes, and what is due is done."""
        self.clock.advance(seconds)
        self.run(StoredTimers(self.store, TIMERS).run_due(100))
        self.run(self.capping.load())
        try:
            self.run(self.decider.identify(self.token))
        except WatchkeeperError:
            self.resume()
            self.open_run()

    @invariant()
    def no_cap_is_passed(self) -> None:
        """Posted and held never pass the highest cap there was, with its top-ups."""
        for posted, held, topped in self.rows(
            "select posted_spend, held_spend, topped_spend from budget_balances "
            "where scope = 'team/finance-ops'"
        ):
            assert posted + held <= self.highest + topped
            assert held >= 0

    @invariant()
    def nothing_is_asked_or_done_twice(self) -> None:
        """One request waits for a budget and period; each level is told, and paused at, once under
        one cap.
        """
        pending = Counter(
            row[0] for row in self.rows("select budget from requests where state = 'pending'")
        )
        assert max(pending.values(), default=0) <= 1
        said = Counter(
            (kind, body["period_key"], body["level"], body["cap"])
            for kind, body in (
                (row[0], json.loads(row[1]))
                for row in self.rows(
                    "select type, body from events where type in ('budget.warned', 'budget.paused')"
                )
            )
        )
        assert max(said.values(), default=0) <= 1

    @invariant()
    def every_approval_topped_up_once(self) -> None:
        """What was topped up is what approved requests asked for."""
        granted = sum(
            json.loads(row[0])["amount"]
            for row in self.rows("select arguments from requests where state = 'succeeded'")
        )
        topped = self.rows("select coalesce(sum(topped_spend), 0) from budget_balances")
        assert topped == [(granted,)]

    def teardown(self) -> None:
        """Close the store."""
        if hasattr(self, "store"):
            self.run(self.store.close())
            self.loop.close()


class TestResponses(Responses.TestCase):  # type: ignore[misc, valid-type]
    """Runs the machine."""

    settings = machine_settings(examples=25)
