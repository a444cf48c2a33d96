"""The ladder of levels under any order of steps, against a model that looks at every second."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import delete, select

from tests.approvals.ground import wanted
from tests.rig.machines import run_machine
from tests.rig.sweeping import sweep
from watchkeeper.approvals import service
from watchkeeper.approvals.model import NewRequest
from watchkeeper.approvals.rows import TIMER, find
from watchkeeper.approvals.tables import requests, told, views, votes
from watchkeeper.approvals.timers import handlers
from watchkeeper.core.clock import MICROSECONDS, RehearsalClock
from watchkeeper.core.errors import Conflict, Forbidden
from watchkeeper.oncall.model import EscalationPolicy, Holders, Level
from watchkeeper.store.journal import events
from watchkeeper.store.store import Store
from watchkeeper.store.timers import timers
from watchkeeper.store.transaction import Transaction

T = TypeVar("T")
STEPS = {
    "request.escalated", "request.reminded", "request.repeated", "request.resumed",
    "request.acknowledged", "request.expired", "request.no_coverage",
}  # fmt: skip
ROLES = ("ops", "lead", "head")
POLICIES = st.builds(
    lambda gaps, pager, **rest: {
        "levels": tuple(
            Level("" if pager == n else role, sum(gaps[:n]), "pager" if pager == n else None)
            for n, role in enumerate(ROLES[: len(gaps) + 1])
        ),
        **rest,
    },
    st.lists(st.integers(5, 40), max_size=2),
    st.sampled_from([None, None, 1]),
    remind_every_seconds=st.none() | st.integers(4, 30),
    repeat=st.integers(0, 2),
    repeat_after_seconds=st.integers(3, 30),
    acknowledge_seconds=st.integers(5, 60),
    skip_if_empty=st.booleans(),
    sla_seconds=st.integers(20, 250),
)
LATEST = st.sampled_from([0, 0, 0, 1, 1, 2])


@dataclass
class Ladder:
    """One request as the rules in words have it; times in whole seconds."""

    policy: EscalationPolicy
    created: int
    decide_by: int
    state: str = "pending"
    level: int = 0
    round: int = 1
    role: str = ""
    origin: int = 0
    entered: int = 0
    reminders: int = 0
    on_it: tuple[int, int] | None = None
    told: list[tuple[Any, ...]] = field(default_factory=list)

    def open(self, held: dict[str, bool]) -> None:
        """Ask the first level that somebody holds."""
        self.origin, self.role = self.created, self.policy.levels[0].role
        self.enter(1, self.created, held)

    def enter(self, level: int, at: int, held: dict[str, bool]) -> None:
        """Come to a level, or past it where nobody is there."""
        levels = self.policy.levels
        while self.policy.skip_if_empty and levels[level - 1].role:
            later = [n for n in range(level, len(levels) + 1) if held.get(levels[n - 1].role)]
            level = later[0] if later else len(levels)
            if later:
                self.role = levels[level - 1].role
            break
        else:
            self.role = levels[level - 1].role or self.role
        self.level, self.entered, self.reminders = level, at, 0

    def alarm(self, held: dict[str, bool]) -> None:
        """Where nobody on any level is there, say so."""
        if not any(held.get(one.role) for one in self.policy.levels):
            self.told.append(("request.no_coverage", self.level, self.round))

    def catch_up(self, now: int, held: dict[str, bool]) -> None:
        """Do all that was due, by looking at each second for what is due in it."""
        while self.state == "pending":
            for second in range(self.created, min(now, self.decide_by) + 1):
                if self.step(second, held):
                    break
            else:
                return

    def step(self, second: int, held: dict[str, bool]) -> bool:
        """Do the one thing that is due at a second, if there is one."""
        policy, last = self.policy, self.level == len(self.policy.levels)
        if second == self.decide_by:
            self.state = "expired"
            self.told.append(("request.expired",))
        elif self.on_it is not None:
            if second != self.on_it[1]:
                return False
            self.origin += self.on_it[1] - self.on_it[0]
            self.on_it, self.entered, self.reminders = None, second, 0
            self.told.append(("request.resumed", self.level, self.round, self.role, second))
        elif not last and second == self.origin + policy.levels[self.level].after_seconds:
            self.enter(self.level + 1, second, held)
            self.told.append(("request.escalated", self.level, self.round, self.role, second))
            self.alarm(held)
        elif last and self.round <= policy.repeat and second == self.origin + policy.round_seconds:
            self.round, self.origin, self.role = self.round + 1, second, policy.levels[0].role
            self.enter(1, second, held)
            self.told.append(("request.repeated", self.level, self.round, self.role, second))
            self.alarm(held)
        elif (
            policy.remind_every_seconds
            and second == self.entered + policy.remind_every_seconds * (self.reminders + 1)
        ):
            self.reminders += 1
            self.told.append(("request.reminded", self.level, self.round, self.role, second))
        else:
            return False
        return True


class LadderMachine(RuleBasedStateMachine):
    """A store and a model of each request, driven in any order by a clock that the test moves."""

    url: str
    opened_any = precondition(lambda self: self.opened)

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = RehearsalClock(frozen=True)
        self.start = self.clock.now()
        self.store = self.run(Store.open(self.url, self.clock))
        self.first_event = self.store.head
        self.held: dict[str, tuple[str, ...]] = dict.fromkeys(ROLES, ("ada",))
        self.opened: list[tuple[str, NewRequest, Ladder]] = []
        self.run(self.store.write(clear))

    def holders(self, tx: Transaction, role: str, at: int) -> Holders:
        """Coverage: who is there now."""
        return Holders(self.held[role])

    def next_change(self, tx: Transaction, at: int) -> int | None:
        """No schedule says."""
        return None

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

    @property
    def now(self) -> int:
        """Seconds since the start."""
        return (self.clock.now() - self.start) // MICROSECONDS

    @property
    def there(self) -> dict[str, bool]:
        """Which roles somebody holds."""
        return {role: bool(people) for role, people in self.held.items()}

    @rule(policy=POLICIES)
    def open(self, policy: dict[str, Any]) -> None:
        values = dict(policy)
        new = wanted(run=f"run_{len(self.opened)}", **values)
        request = self.write(lambda tx: service.open_request(tx, new, self))
        assert self.write(lambda tx: service.open_request(tx, new, self)) == request
        ladder = Ladder(new.escalation, self.now, self.now + new.sla_seconds)
        ladder.open(self.there)
        ladder.alarm(self.there)
        self.opened.append((request, new, ladder))

    @opened_any
    @rule(one=LATEST, seconds=st.none() | st.integers(5, 90), known=st.booleans())
    def acknowledge(self, one: int, seconds: int | None, known: bool) -> None:
        request, _, ladder = self.pick(one)
        before = self.row(request)
        roles = frozenset(ROLES) if known else frozenset({"sales"})
        person = "ada" if known else "zoe"
        try:
            self.write(
                lambda tx: service.acknowledge(
                    tx, request, person=person, roles=roles, seconds=seconds, coverage=self
                )
            )
        except (Conflict, Forbidden):
            assert self.row(request) == before
            ended = ladder.state != "pending" or self.now >= ladder.decide_by
            assert ended or not known
            return
        assert known
        ladder.catch_up(self.now, self.there)
        left = ladder.decide_by - self.now
        usual = min(ladder.policy.acknowledge_seconds, max(1, left // 2))
        until = min(self.now + (seconds or usual), ladder.decide_by)
        since, earlier = ladder.on_it or (self.now, 0)
        ladder.on_it = (since, max(until, earlier))
        ladder.told.append(("request.acknowledged", ladder.level, ladder.round, ladder.role))

    @opened_any
    @rule(one=LATEST, level=st.integers(0, 1), round=st.integers(0, 1))
    def escalate(self, one: int, level: int, round: int) -> None:
        """By hand, with what was on a screen: as it is, or from before."""
        request, _, ladder = self.pick(one)
        before = self.row(request)
        seen = (ladder.round - round, ladder.level - level)
        try:
            self.write(
                lambda tx: service.escalate(
                    tx, request, level=seen[1], round=seen[0], person="ada", coverage=self
                )
            )
        except Conflict:
            assert self.row(request) == before
            over = ladder.state != "pending" or self.now >= ladder.decide_by
            assert over or level or round or ladder.level == len(ladder.policy.levels)
            return
        assert (level, round) == (0, 0)
        if ladder.on_it is not None:
            ladder.origin += self.now - ladder.on_it[0]
            ladder.on_it = None
        ladder.enter(ladder.level + 1, self.now, self.there)
        ladder.told.append(("request.escalated", ladder.level, ladder.round, ladder.role, self.now))
        ladder.alarm(self.there)

    @opened_any
    @rule(one=LATEST)
    def approve(self, one: int) -> None:
        request, new, ladder = self.pick(one)
        if ladder.state == "pending" and self.now < ladder.decide_by:
            self.write(
                lambda tx: service.cast_vote(
                    tx, request, person="ada", roles={"*"}, verdict="reject", digest=new.digest
                )
            )
            ladder.state = "denied"

    @rule(role=st.sampled_from(ROLES), people=st.sampled_from([(), (), ("ada",), ("bob", "cid")]))
    def change_shift(self, role: str, people: tuple[str, ...]) -> None:
        self.held[role] = people

    @rule(seconds=st.sampled_from([1, 4, 7, 13, 30, 90, 86_400]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule()
    def sweep(self) -> None:
        self.run(sweep(self.store, handlers(self)))
        for _, _, ladder in self.opened:
            ladder.catch_up(self.now, self.there)

    @rule()
    def restart(self) -> None:
        self.run(self.store.close())
        self.store = self.run(Store.open(self.url, self.clock))

    @invariant()
    def every_request_is_where_the_model_is(self) -> None:
        rows, due, told = self.run(self.store.read(self.everything))
        assert due == {r.request: r.next_at for r in rows.values() if r.state == "pending"}
        for request, _, ladder in self.opened:
            row = rows[request]
            assert told.get(request, []) == ladder.told
            assert (row.state, row.level, row.round) == (ladder.state, ladder.level, ladder.round)
            assert row.role == ladder.role
            climbed = [entry[1:3] for entry in ladder.told if entry[0] == "request.escalated"]
            assert sorted(climbed, key=lambda at: at[::-1]) == climbed
            assert row.round <= ladder.policy.rounds

    def everything(
        self, tx: Transaction
    ) -> tuple[dict[str, Any], dict[str, int], dict[str, list[tuple[Any, ...]]]]:
        """All requests and timers, and what the ledger says of each request's steps."""
        run = tx.connection.execute
        rows = {row.request: row for row in run(select(requests))}
        due = {row.ref: row.due_at for row in run(select(timers).where(timers.c.kind == TIMER))}
        told: dict[str, list[tuple[Any, ...]]] = {}
        query = select(events).where(events.c.sequence > self.first_event)
        for event in run(query.order_by(events.c.sequence)):
            # what happens when a shift ends is no step of the ladder
            if event.type in STEPS and not json.loads(event.body).get("left"):
                told.setdefault(event.request, []).append(tuple(self.words(event)))
        return rows, due, told

    def words(self, event: Any) -> Iterator[Any]:
        """What the model says of an event."""
        body = json.loads(event.body)
        yield event.type
        for name in ("level", "round", "role"):
            if name in body:
                yield body[name]
        if "due_at" in body:
            yield (body["due_at"] - self.start) // MICROSECONDS

    def pick(self, back: int) -> tuple[str, NewRequest, Ladder]:
        """A request, counted back from the latest, with its model."""
        return self.opened[-1 - back % len(self.opened)]

    def row(self, request: str) -> Any:
        """The row of a request."""
        return self.run(self.store.read(lambda tx: find(tx, request)))


def clear(tx: Transaction) -> None:
    """Empty this room's tables; the ledger goes on."""
    tx.silent("a test starts over")
    for table in (requests, votes, views, told, timers):
        tx.connection.execute(delete(table))


def test_the_ladder_is_climbed_as_the_model_says(database_url: str) -> None:
    run_machine(LadderMachine, database_url)
