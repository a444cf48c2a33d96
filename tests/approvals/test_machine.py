"""Approvals under any order of votes, clock steps, restarts, locks and redemptions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)
from sqlalchemy import delete, select

from tests.approvals.ground import pass_time, redeem, wanted
from tests.rig.machines import run_machine
from watchkeeper.approvals import service
from watchkeeper.approvals.model import NewRequest
from watchkeeper.approvals.rows import TIMER, find
from watchkeeper.approvals.tables import requests, views, votes
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Conflict, Forbidden
from watchkeeper.oncall.model import Level
from watchkeeper.store.journal import events
from watchkeeper.store.store import Store
from watchkeeper.store.timers import timers
from watchkeeper.store.transaction import Transaction

T = TypeVar("T")
ENDING = {
    "request.denied": "denied",
    "request.expired": "expired",
    "request.revoked": "revoked",
    "request.cancelled": "cancelled",
    "request.lapsed": "lapsed",
    "request.succeeded": "succeeded",
    "request.failed": "failed",
    "request.unknown": "unknown",
}
MOVING = {**ENDING, "request.approved": "approved", "grant.redeemed": "redeemed"}
ROLES = [frozenset({role}) for role in ("ops", "ops", "lead", "*", "sales")]
PEOPLE = ["ada", "person/ADA", "grace", "Carol"]
RUNS = st.sampled_from(["run_1", "run_2"])
ACTIONS = st.builds(
    lambda run, amount, quorum, allow: wanted(
        run=run,
        arguments={"amount_usd": amount},
        quorum=quorum,
        risk="low" if allow else "high",
        timeout_outcome="allow" if allow else "deny",
        levels=(Level("ops"), Level("lead", 60), Level("head", 120)),
        grant_seconds=80,
    ),
    RUNS,
    st.integers(1, 2),
    st.sampled_from([1, 2, 2, 3]),
    st.sampled_from([False, False, True]),
)

LATEST = st.sampled_from([0, 0, 0, 1, 1, 2, 3])
"""How many requests back a step reaches: mostly to those that are not decided yet."""


class ApprovalMachine(RuleBasedStateMachine):
    """A store driven in any order; what must hold is read back from its tables and ledger."""

    url: str
    opened_any = precondition(lambda self: self.opened)

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = RehearsalClock(frozen=True)
        self.store = self.run(Store.open(self.url, self.clock))
        self.first_event = self.store.head
        self.opened: list[tuple[str, NewRequest]] = []
        self.executed: list[tuple[str, str]] = []
        self.decision = 0
        self.run(self.store.write(clear))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on this machine's loop."""
        return self.runner.run(work)

    def write(self, unit: Callable[[Transaction], T]) -> T:
        """Run a unit that may find nothing to do."""

        def silent(tx: Transaction) -> T:
            tx.silent("there may be nothing to do")
            return unit(tx)

        return self.run(self.store.write(silent))

    def teardown(self) -> None:
        self.run(self.store.close())
        self.runner.close()

    @rule(new=ACTIONS)
    def open(self, new: NewRequest) -> None:
        first = self.write(lambda tx: service.open_request(tx, new))
        assert self.write(lambda tx: service.open_request(tx, new)) == first
        if first not in [request for request, _ in self.opened]:
            self.opened.append((first, new))

    @opened_any
    @rule(
        one=LATEST,
        person=st.sampled_from(PEOPLE),
        roles=st.sampled_from(ROLES),
        verdict=st.sampled_from(["approve", "approve", "reject"]),
        stale=st.integers(0, 5),
    )
    def vote(self, one: int, person: str, roles: Any, verdict: Any, stale: int) -> None:
        request, new = self.pick(one)
        before = self.row(request)
        digest = "sha256:stale" if stale == 0 else new.digest
        try:
            state = self.write(
                lambda tx: service.cast_vote(
                    tx, request, person=person, roles=roles, verdict=verdict, digest=digest
                )
            )
        except (Conflict, Forbidden):
            assert self.row(request) == before
            return
        assert digest == new.digest
        assert before.state == "pending"
        assert self.clock.now() < before.decide_by
        assert roles & {"*", *["ops", "lead", "head"][: before.level]}
        assert person.lower().removeprefix("person/") != "carol"
        if verdict == "reject":
            assert state == "denied"

    @opened_any
    @rule(one=LATEST)
    def perform(self, one: int) -> None:
        _, new = self.pick(one)
        self.decision += 1
        if self.run(redeem(self.store, new, f"dec_{self.decision}")):
            self.executed.append((new.run, new.digest))

    @opened_any
    @rule(one=LATEST, status=st.sampled_from(["succeeded", "failed", "unknown"]))
    def end(self, one: int, status: Any) -> None:
        was = self.row(self.pick(one)[0]).state
        ended = self.write(lambda tx: service.record_outcome(tx, self.pick(one)[0], status))
        assert ended == (was == "redeemed")

    @opened_any
    @rule(one=LATEST, seen=st.integers(1, 3))
    def escalate(self, one: int, seen: int) -> None:
        before = self.row(self.pick(one)[0])
        try:
            self.write(lambda tx: service.escalate(tx, self.pick(one)[0], level=seen, person="ada"))
        except Conflict:
            return
        assert before.level == seen
        assert self.row(self.pick(one)[0]).level == seen + 1

    @rule(run=RUNS)
    def revoke(self, run: str) -> None:
        self.write(lambda tx: service.revoke(tx, runs=[run], lock="lock_1", now=tx.now))

    @opened_any
    @rule(one=LATEST)
    def cancel(self, one: int) -> None:
        request = self.pick(one)[0]
        was = self.row(request).state
        taken_back = self.write(lambda tx: self.take_back(tx, request))
        assert taken_back == (was in ("pending", "approved"))

    @staticmethod
    def take_back(tx: Transaction, request: str) -> bool:
        """Withdraw a request; of one that is not open any more nothing changes."""
        tx.silent("the test asks in any state")
        return service.cancel(tx, request, by="agent/clerk")

    @rule(seconds=st.sampled_from([0.5, 15, 15, 45, 61, 200]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def sweep(self) -> None:
        self.run(pass_time(self.store))
        assert self.run(pass_time(self.store)) == 0

    @rule()
    def restart(self) -> None:
        self.run(self.store.close())
        self.store = self.run(Store.open(self.url, self.clock))

    @invariant()
    def all_holds(self) -> None:
        rows, due, cast, told = self.run(
            self.store.read(lambda tx: everything(tx, self.first_event))
        )
        check_timers(rows, due)
        check_ledger(rows, told)
        check_execution(rows, self.executed)
        check_votes(rows, cast)

    def pick(self, back: int) -> tuple[str, NewRequest]:
        """A request, counted back from the latest, with what it asks for."""
        return self.opened[-1 - back % len(self.opened)]

    def row(self, request: str) -> Any:
        """The row of a request."""
        return self.run(self.store.read(lambda tx: find(tx, request)))


def clear(tx: Transaction) -> None:
    """Empty this room's tables; the ledger goes on."""
    tx.silent("a test starts over")
    for table in (requests, votes, views, timers):
        tx.connection.execute(delete(table))


def everything(
    tx: Transaction, after: int
) -> tuple[list[Any], list[Any], list[Any], dict[str, list[tuple[str, int | None]]]]:
    """All requests, timers and votes, and what the ledger told of each request."""
    due = select(timers.c.ref, timers.c.due_at).where(timers.c.kind == TIMER)
    told: dict[str, list[tuple[str, int | None]]] = {}
    query = select(events).where(events.c.sequence > after, events.c.request.is_not(None))
    for row in tx.connection.execute(query.order_by(events.c.sequence)):
        told.setdefault(row.request, []).append((row.type, json.loads(row.body).get("level")))
    run = tx.connection.execute
    return list(run(select(requests))), list(run(due)), list(run(select(votes))), told


def check_timers(rows: list[Any], due: list[Any]) -> None:
    """Each pending request, and each unused grant, has exactly one timer; the others none."""
    waiting = {row.request: row.next_at for row in rows if row.state in ("pending", "approved")}
    assert len(due) == len(waiting)
    assert dict(due) == waiting


def check_ledger(rows: list[Any], told: dict[str, list[tuple[str, int | None]]]) -> None:
    """The events of a request lead to its state; an end is told once, and nothing follows."""
    assert set(told) == {row.request for row in rows}
    for row in rows:
        moves = [MOVING[kind] for kind, _ in told[row.request] if kind in MOVING]
        assert row.state == (moves[-1] if moves else "pending")
        assert not any(kind in ENDING for kind, _ in told[row.request][:-1])
        levels = [level for kind, level in told[row.request] if kind == "request.escalated"]
        assert levels == list(range(2, row.level + 1))


def check_execution(rows: list[Any], executed: list[tuple[str, str]]) -> None:
    """What ran had exactly one redeemed grant of its digest, in time."""
    assert sorted((row.run, row.digest) for row in rows if row.redeemed_by) == sorted(executed)
    for row in rows:
        if row.redeemed_by:
            assert row.redeemed_at < row.grant_expires_at


def check_votes(rows: list[Any], cast: list[Any]) -> None:
    """One vote a person on the digest, never of whom it is for; a quorum approved, or a no."""
    for row in rows:
        mine = [vote for vote in cast if vote.request == row.request]
        people = {vote.person.lower().removeprefix("person/") for vote in mine}
        assert len(people) == len(mine)
        assert "carol" not in people
        assert all(vote.digest == row.digest for vote in mine)
        assert (row.state == "denied") == any(vote.verdict == "reject" for vote in mine)
        if row.grant_expires_at is not None and row.decided_by != "deadline":
            agreed = sum(vote.verdict == "approve" for vote in mine)
            assert agreed == row.quorum or row.state in ("revoked", "cancelled")


def test_approvals_hold_in_any_order(database_url: str) -> None:
    run_machine(ApprovalMachine, database_url)
