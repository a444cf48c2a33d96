"""Standing approvals under any order of votes, uses, endings, clock steps and restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import delete, select

from tests.approvals.ground import OPS
from tests.approvals.standing_ground import AGENT, CENT, TOOL, propose_in, terms
from tests.rig.machines import run_machine
from tests.rig.sweeping import sweep
from watchkeeper.approvals import service as approvals
from watchkeeper.approvals.rows import find
from watchkeeper.approvals.standing import service as standing
from watchkeeper.approvals.standing.model import Terms
from watchkeeper.approvals.standing.tables import standing_approvals
from watchkeeper.approvals.tables import requests, views, votes
from watchkeeper.approvals.timers import HANDLERS
from watchkeeper.core.clock import MICROSECONDS, RehearsalClock
from watchkeeper.core.errors import Conflict, Forbidden
from watchkeeper.store.store import Store
from watchkeeper.store.timers import timers
from watchkeeper.store.transaction import Transaction

T = TypeVar("T")
TIMERS = {**HANDLERS, **standing.HANDLERS}
TERMS = st.builds(
    lambda uses, total, seconds, reason: terms(
        uses=uses, total_micros=total * CENT, each_micros=100 * CENT, seconds=seconds, reason=reason
    ),
    st.integers(1, 5),
    st.sampled_from([100, 250, 1000]),
    st.sampled_from([60, 100, 3600]),
    st.sampled_from(["a", "b"]),
)
AMOUNTS = st.lists(st.sampled_from([0, 30, 100, 101]), min_size=1, max_size=6)
NOBODY: dict[str, Any] = {"agents": ["x"]}
LATEST = st.sampled_from([0, 0, 1, 2])
"""How many proposals back a step reaches."""


@dataclass
class Known:
    """What the test knows of one: nothing is read back from the plane."""

    name: str
    asked: Terms
    quorum: int
    proposed_at: int
    agreed: set[str] = field(default_factory=set)
    approved_at: int | None = None
    over: bool = False
    used: list[int] = field(default_factory=list)

    def decidable(self, now: int) -> bool:
        return not self.over and self.approved_at is None and now < self.proposed_at + 200_000_000

    def usable(self, now: int, amount: int) -> bool:
        return (
            not self.over
            and self.approved_at is not None
            and now < self.approved_at + self.asked.seconds * MICROSECONDS
            and len(self.used) < self.asked.uses
            and amount <= (self.asked.each_micros or 0)
            and sum(self.used) + amount <= (self.asked.total_micros or 0)
        )


class StandingMachine(RuleBasedStateMachine):
    """A store driven in any order, beside what should come of it."""

    url: str
    any_known = precondition(lambda self: self.known)

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = RehearsalClock(frozen=True)
        self.store = self.run(Store.open(self.url, self.clock))
        self.known: list[Known] = []
        self.write(clear)

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

    def pick(self, back: int) -> Known:
        return self.known[-1 - back % len(self.known)]

    @rule(asked=TERMS, quorum=st.integers(1, 2))
    def propose(self, asked: Terms, quorum: int) -> None:
        self._propose(asked, quorum)

    def _propose(self, asked: Terms, quorum: int) -> None:
        name = self.write(lambda tx: propose_in(tx, asked, quorum=quorum))
        self.known.append(Known(name, asked, quorum, self.clock.now()))

    @rule(asked=TERMS, amounts=AMOUNTS)
    def stand(self, asked: Terms, amounts: list[int]) -> None:
        """One that is approved and used at once: most of what can go wrong comes after."""
        self._propose(asked, 1)
        self._vote(self.known[-1], "ada", yes=True)
        self._use(self.known[-1], amounts)

    @any_known
    @rule(
        one=LATEST,
        person=st.sampled_from(["ada", "grace", "person/Ada", "Paul"]),
        yes=st.sampled_from([True, True, True, True, False]),
    )
    def vote(self, one: int, person: str, yes: bool) -> None:
        self._vote(self.pick(one), person, yes=yes)

    def _vote(self, known: Known, person: str, *, yes: bool) -> None:
        key = person.lower().removeprefix("person/")

        def unit(tx: Transaction) -> None:
            row = find(tx, standing.find_standing_approval(tx, known.name).request)
            approvals.cast_vote(
                tx,
                row.request,
                person=person,
                roles=OPS,
                verdict="approve" if yes else "reject",
                digest=row.digest,
            )

        may = known.decidable(self.clock.now()) and key != "paul" and key not in known.agreed
        try:
            self.write(unit)
        except (Conflict, Forbidden):
            assert not may
            return
        assert may
        known.over = not yes
        known.agreed |= {key} if yes else set()
        if yes and len(known.agreed) == known.quorum:
            known.approved_at = self.clock.now()

    @any_known
    @rule(one=LATEST, amounts=AMOUNTS)
    def use(self, one: int, amounts: list[int]) -> None:
        """Several callers at once; they are served in the order in which they came."""
        self._use(self.pick(one), amounts)

    def _use(self, known: Known, amounts: list[int]) -> None:

        async def callers() -> list[bool]:
            def unit(amount: int) -> Callable[[Transaction], bool]:
                def count(tx: Transaction) -> bool:
                    tx.silent("the decision is not made here")
                    return standing.use(tx, known.name, amount)

                return count

            return await asyncio.gather(*(self.store.write(unit(n * CENT)) for n in amounts))

        for amount, got in zip(amounts, self.run(callers()), strict=True):
            assert got is known.usable(self.clock.now(), amount * CENT)
            if got:
                known.used.append(amount * CENT)

    @any_known
    @rule(one=LATEST)
    def end(self, one: int) -> None:
        known, now = self.pick(one), self.clock.now()
        try:
            self.write(lambda tx: standing.end(tx, known.name, by="person/ada", why="over"))
        except Conflict:
            assert not known.decidable(now)
            assert not known.usable(now, 0)
            return
        known.over = True

    @rule(what=st.sampled_from([{"agents": [AGENT]}, {"tools": [TOOL]}, NOBODY, NOBODY, NOBODY]))
    def kill(self, what: dict[str, Any]) -> None:
        self.write(lambda tx: standing.end_covered(tx, **what, by="lock/l", why="odd"))
        if what is not NOBODY:
            for known in self.known:
                known.over = True

    @rule(seconds=st.sampled_from([0.5, 30, 59, 60, 100, 201]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def sweep(self) -> None:
        self.run(sweep(self.store, TIMERS))

    @rule()
    def restart(self) -> None:
        self.run(self.store.close())
        self.store = self.run(Store.open(self.url, self.clock))

    @invariant()
    def what_is_on_record_is_what_happened(self) -> None:
        found = {row.standing: row for row in self.run(self.store.read(everything))}
        assert set(found) == {known.name for known in self.known}
        now = self.clock.now()
        for known in self.known:
            row = found[known.name]
            assert (row.uses, row.used_micros) == (len(known.used), sum(known.used))
            assert row.uses <= known.asked.uses
            assert row.used_micros <= (known.asked.total_micros or 0)
            assert (row.approved_at, row.digest) == (known.approved_at, known.asked.digest)
            if known.usable(now, 0):
                assert row.state == "standing"
            if known.over and known.approved_at is not None:
                assert row.state == "ended"


def clear(tx: Transaction) -> None:
    """Empty this room's tables; the ledger goes on."""
    for table in (requests, votes, views, timers, standing_approvals):
        tx.connection.execute(delete(table))


def everything(tx: Transaction) -> list[Any]:
    """All standing approvals; each in force has the one timer that ends it, no other has one."""
    rows = list(tx.connection.execute(select(standing_approvals)))
    due = select(timers.c.ref, timers.c.due_at).where(timers.c.kind == standing.EXPIRY)
    assert dict(list(tx.connection.execute(due))) == {
        row.standing: row.expires_at for row in rows if row.state == "standing"
    }
    return rows


def test_standing_approvals_hold_in_any_order(database_url: str) -> None:
    run_machine(StandingMachine, database_url)
