"""Approvals under any order of votes, clock steps, restarts, locks, redemptions and changes of who
is who: aliases that become known, delegations, people who leave.

The invariants are those of the design: A1 what ran had one redeemed grant of its digest · A2
nothing is redeemed that ended · A4 nobody decides what is theirs, in any guise · A7 who left a
role counts no more · A8 a no ends it · A9 one end, told once · A10 the ledger leads to the state.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable, Coroutine, Set
from functools import partial
from typing import Any, NamedTuple, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)
from sqlalchemy import delete, select

from tests.approvals.ground import pass_time, wanted
from tests.rig.machines import run_machine
from watchkeeper.approvals import service
from watchkeeper.approvals.delegations import delegate, end_delegation, list_delegations
from watchkeeper.approvals.model import NewRequest
from watchkeeper.approvals.people import person_key
from watchkeeper.approvals.rows import TIMER, find, groups_of
from watchkeeper.approvals.superseding import supersede
from watchkeeper.approvals.tables import delegations, requests, views, votes
from watchkeeper.approvals.voiding import void
from watchkeeper.core.clock import MICROSECONDS, RehearsalClock
from watchkeeper.core.errors import Conflict, Forbidden, WatchkeeperError
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
    "request.superseded": "superseded",
    "request.lapsed": "lapsed",
    "request.succeeded": "succeeded",
    "request.failed": "failed",
    "request.unknown": "unknown",
}
MOVING = {**ENDING, "request.approved": "approved", "grant.redeemed": "redeemed"}
ALIASES = {"a.l": "ada", "carol@home": "carol", "g.h": "grace"}
PEOPLE = ["ada", "person/ADA", "grace", "bob", "eve", "carol", *ALIASES]
NAMES = st.sampled_from(PEOPLE)
LEVELS = (Level("ops"), Level("lead", 60), Level("head", 120))
FIRST = {level.role for level in LEVELS}
RUNS = st.sampled_from(["run_1", "run_2"])
GROUPS = st.sampled_from(
    [
        (("ops", 1),),
        (("ops", 2),),
        (("ops", 1), ("finance", 1)),
        (("ops", 2), ("finance", 1)),
    ]
)
ACTIONS = st.builds(
    lambda run, amount, groups, allow, behalf: wanted(
        run=run,
        arguments={"amount_usd": amount},
        groups=groups,
        risk="low" if allow else "high",
        timeout_outcome="allow" if allow else "deny",
        levels=LEVELS,
        grant_seconds=80,
        on_behalf_of=behalf,
    ),
    RUNS,
    st.integers(1, 2),
    GROUPS,
    st.sampled_from([False, False, False, True]),
    st.sampled_from(["person/carol", "person/carol", "carol@home", None]),
)
PAIRS = st.sampled_from(
    [("carol", "ada"), ("grace", "carol"), ("carol", "grace"), ("bob", "carol"), ("eve", "bob"),
     ("grace", "eve"), ("bob", "ada")]
)  # fmt: skip
"""Who gives votes to whom; mostly with whom requests are for."""

LATEST = st.sampled_from([0, 0, 0, 1, 1, 2, 3])
"""How many requests back a step reaches: mostly to those that are not decided yet."""


class Agreed(NamedTuple):
    """An approval as the test remembers it: by whom, in which roles, who had a document then."""

    person: str
    acting_for: str | None
    held: Set[str]
    known: Set[str]


class Crowd:
    """People as documents say now: names, aliases, roles; the test changes them."""

    def __init__(self) -> None:
        self.aliases: dict[str, str] = {}
        self.documents = {"ada", "grace", "bob", "eve", "carol"}
        self.members: dict[str, set[str]] = {
            "ops": {"ada", "grace", "eve", "carol", "a.l"},
            "lead": {"grace"},
            "finance": {"bob", "eve", "ada", "g.h"},
        }

    def key(self, name: str) -> str:
        key = person_key(name)
        return self.aliases.get(key, key)

    def names(self, name: str) -> frozenset[str]:
        own = self.key(name)
        return frozenset({own, *(a for a, whose in self.aliases.items() if whose == own)})

    def roles(self, person: str) -> Set[str]:
        key = self.key(person)
        return frozenset(role for role, people in self.members.items() if key in people)

    def documented(self, person: str) -> bool:
        return self.key(person) in self.documents

    def known(self, person: str) -> bool:
        return True

    def belongs(self, person: str, role: str, at: int) -> bool:
        return self.key(person) in self.members.get(role, ())


class ApprovalMachine(RuleBasedStateMachine):
    """A store driven in any order; what must hold is read back from its tables and ledger."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = RehearsalClock(frozen=True)
        self.store = self.run(Store.open(self.url, self.clock))
        self.first_event = self.store.head
        self.opened: list[tuple[str, NewRequest]] = []
        self.executed: list[tuple[str, str]] = []
        self.decision = 0
        self.people = Crowd()
        self.cast: dict[str, list[Agreed]] = {}
        """By request: who approved, for whom, with the roles that counted then."""
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

    @initialize(new=ACTIONS)
    def begin(self, new: NewRequest) -> None:
        self.open_one(new)

    @rule(new=ACTIONS, one=st.integers(0, 2))
    def open(self, new: NewRequest, one: int) -> None:
        if one == 0 or len(self.opened) < 2:
            self.open_one(new)

    def open_one(self, new: NewRequest) -> None:
        """Ask for something; asked again it is the same request."""
        first = self.write(lambda tx: service.open_request(tx, new, people=self.people))
        again = self.write(lambda tx: service.open_request(tx, new, people=self.people))
        assert again == first
        if first not in [request for request, _ in self.opened]:
            self.opened.append((first, new))

    @rule(
        one=LATEST,
        person=NAMES,
        borrows=st.sampled_from([False, True, True]),
        verdict=st.sampled_from(["approve"] * 7 + ["reject", "changes"]),
        stale=st.integers(0, 9),
    )
    def vote(self, one: int, person: str, borrows: bool, verdict: Any, stale: int) -> None:
        """Somebody votes; or whoever has another's votes casts one of those."""
        given = self.linked() if borrows else []
        if given:
            self.cast_one(one, given[0][1], given[0][0], verdict, stale)
        else:
            self.cast_one(one, person, "bob" if borrows and stale == 1 else None, verdict, stale)

    @rule(one=LATEST, people=st.lists(NAMES, min_size=1, max_size=4, unique=True))
    def agree(self, one: int, people: list[str]) -> None:
        """Several people approve."""
        for person in people:
            self.cast_one(one, person, None, "approve", 1)

    def cast_one(
        self, one: int, person: str, acting_for: str | None, verdict: Any, stale: int
    ) -> None:
        """Try a vote; where it is taken, it had to be."""
        request, new = self.pick(one)
        before = self.row(request)
        digest = "sha256:stale" if stale == 0 else new.digest
        roles = self.people.roles(person)
        try:
            state = self.write(
                lambda tx: service.cast_vote(
                    tx,
                    request,
                    person=person,
                    roles=roles,
                    verdict=verdict,
                    digest=digest,
                    acting_for=acting_for,
                    people=self.people,
                )
            )
        except (Conflict, Forbidden):
            assert self.row(request) == before
            return
        held = self.people.roles(acting_for) if acting_for else roles
        asked = {level.role for level in LEVELS[: before.level]}
        asked |= {role for role, _ in new.groups[1:]}
        assert digest == new.digest
        assert before.state == "pending"
        assert self.clock.now() < before.decide_by
        assert held & asked
        voters = self.keys(person, acting_for)
        assert acting_for is None or self.delegated(acting_for, person)
        self.check_not_theirs(new, voters)
        cast = self.cast.setdefault(request, [])
        assert not voters & {key for one in cast for key in self.voters(one)}, "one vote each"
        if verdict != "approve":
            assert state == "denied", "A8: a no ends it"
            return
        known = frozenset(
            name for name in (person, acting_for) if name and self.people.documented(name)
        )
        cast.append(Agreed(person, acting_for, held & asked, known))
        assert (state == "approved") == self.meets(cast, new)

    @rule(one=LATEST)
    def perform(self, one: int) -> None:
        """The agent sends its call again, as the gates treat it."""
        new = self.pick(one)[1]
        self.decision += 1
        decision = f"dec_{self.decision}"

        def unit(tx: Transaction) -> Any:
            grant = service.find_grant(tx, new.run, new.digest, tx.now, self.people)
            if grant is None or grant.spoiled:
                return grant, False
            return grant, service.redeem(tx, grant, decision, tx.now)

        grant, used = self.write(unit)
        if grant is None:
            return
        assert grant.digest == new.digest, "A5: of exactly this action"
        if grant.by == ("deadline",):
            assert used
        else:
            cast = self.cast[grant.request]
            # an earlier request for the same may have asked others
            (asked,) = [asked for opened, asked in self.opened if opened == grant.request]
            good = self.meets(self.left(cast), asked) and self.none_theirs(grant.request, cast)
            assert used == good, (grant.spoiled, cast)
        if used:
            self.executed.append((new.run, new.digest))
        else:
            self.write(lambda tx: void(tx, grant.request, grant.spoiled))
            assert self.row(grant.request).state == "revoked"

    @rule(one=LATEST, status=st.sampled_from(["succeeded", "failed", "unknown"]))
    def end(self, one: int, status: Any) -> None:
        was = self.row(self.pick(one)[0]).state
        ended = self.write(lambda tx: service.record_outcome(tx, self.pick(one)[0], status))
        assert ended == (was == "redeemed")

    @rule(one=LATEST, seen=st.integers(1, 3))
    def escalate(self, one: int, seen: int) -> None:
        before = self.row(self.pick(one)[0])
        try:
            self.write(lambda tx: service.escalate(tx, self.pick(one)[0], level=seen, person="ada"))
        except Conflict:
            return
        assert before.level == seen
        after = self.row(self.pick(one)[0])
        assert after.level == seen + 1
        assert (after.groups, after.quorum) == (before.groups, before.quorum)

    @rule(one=LATEST, how=st.sampled_from(["lock", "cancel", "replace", "restart"]))
    def interfere(self, one: int, how: str) -> None:
        """A kill, the agent, another request in its place, or a plane that ends and starts."""
        request, new = self.pick(one)
        row = self.row(request)
        if how == "lock":
            self.write(lambda tx: service.revoke(tx, runs=[new.run], lock="lock_1", now=tx.now))
        elif how == "cancel":
            taken_back = self.write(lambda tx: self.take_back(tx, request))
            assert taken_back == (row.state in ("pending", "approved"))
        elif how == "replace":
            done = self.write(
                lambda tx: supersede(tx, row, "req_x", by="plane", why=None, text="it changed")
            )
            assert done == (row.state in ("pending", "approved"))
        else:
            self.run(self.store.close())
            self.store = self.run(Store.open(self.url, self.clock))

    @staticmethod
    def take_back(tx: Transaction, request: str) -> bool:
        """Withdraw a request; of one that is not open any more nothing changes."""
        tx.silent("the test asks in any state")
        if find(tx, request).state == "superseded":
            return False
        return service.cancel(tx, request, by="agent/clerk")

    @rule(pair=PAIRS, seconds=st.sampled_from([0, 90, 600, 600]))
    def hand_over(self, pair: tuple[str, str], seconds: int) -> None:
        """Somebody gives their votes to another; or the newest who did takes them back."""
        if seconds == 0:
            for row in self.run(self.store.read(list_delegations))[:1]:
                end = partial(end_delegation, by=row.giver, people=self.people)
                self.write(lambda tx, end=end, row=row: end(tx, row.delegation))  # type: ignore[misc]
            return
        ends_at = self.clock.now() + seconds * MICROSECONDS
        names = self.people.key(pair[0]), self.people.key(pair[1])
        with contextlib.suppress(WatchkeeperError):
            self.write(lambda tx: delegate(tx, *names, self.people, ends_at=ends_at))

    @rule(
        how=st.sampled_from(["alias", "join", "leave", "leave", "document"]),
        role=st.sampled_from(["ops", "ops", "finance", "lead"]),
        person=st.sampled_from(["ada", "grace", "bob", "eve"]),
        alias=st.sampled_from(sorted(ALIASES)),
    )
    def upset(self, how: str, role: str, person: str, alias: str) -> None:
        """Documents change: two people turn out to be one, somebody joins, leaves, is gone."""
        crowd = self.people
        if how == "alias":
            crowd.aliases[alias] = ALIASES[alias]
        elif how == "join":
            crowd.members[role].add(person)
            crowd.documents.add(person)
        elif how == "leave":
            crowd.members[role].discard(person)
        else:
            crowd.documents.discard(person)

    @rule(seconds=st.sampled_from([0.5, 15, 15, 45, 61, 200]), sweeps=st.booleans())
    def wait(self, seconds: float, sweeps: bool) -> None:
        self.clock.advance(seconds)
        if sweeps:
            self.run(pass_time(self.store))
            assert self.run(pass_time(self.store)) == 0

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

    def keys(self, person: str, acting_for: str | None) -> set[str]:
        """The people behind a vote, as they are known now."""
        return {self.people.key(name) for name in (person, acting_for) if name}

    def voters(self, one: Agreed) -> set[str]:
        """The people behind an approval, as they are known now."""
        return self.keys(one.person, one.acting_for)

    def linked(self) -> list[tuple[str, str]]:
        """Who gives votes to whom, now or later, as they are known now."""
        rows = self.run(self.store.read(list_delegations))
        return [(self.people.key(row.giver), self.people.key(row.taker)) for row in rows]

    def delegated(self, giver: str, taker: str) -> bool:
        """Whether a person has votes of another."""
        return (self.people.key(giver), self.people.key(taker)) in self.linked()

    def theirs(self, new: NewRequest, voters: set[str]) -> bool:
        """A4: whether a request is for one of some people, or who shares votes with one."""
        if new.on_behalf_of is None:
            return False
        whose = self.people.key(new.on_behalf_of)
        return whose in voters or any(
            whose in pair and voters & set(pair) for pair in self.linked()
        )

    def check_not_theirs(self, new: NewRequest, voters: set[str]) -> None:
        assert not self.theirs(new, voters), "A4: nobody decides what is theirs"

    def none_theirs(self, request: str, cast: list[Agreed]) -> bool:
        """Whether no vote is of somebody who may not cast it, as people are known now.

        Who shared votes with whom it is for when it was asked may not either.
        """
        (new,) = [new for opened, new in self.opened if opened == request]
        excluded = {self.people.key(key) for key in json.loads(self.row(request).excluded)}
        return not any(
            self.theirs(new, self.voters(one)) or self.voters(one) & excluded for one in cast
        )

    def left(self, cast: list[Agreed]) -> list[Agreed]:
        """A7: the votes without those who are gone, and without roles that were lost."""
        return [
            one._replace(held=one.held & self.people.roles(one.acting_for or one.person))
            for one in cast
            if all(self.people.documented(name) for name in one.known)
        ]

    def meets(self, cast: list[Agreed], new: NewRequest) -> bool:
        """Whether distinct people fill every group, by trying every way to seat them."""
        seats: list[list[str]] = []
        seen: set[str] = set()
        for one in cast:
            voters, held = self.voters(one), one.held
            if voters & seen:
                continue
            seen |= voters
            first = ["first"] if held & FIRST else []
            seats.append([*first, *(role for role, _ in new.groups[1:] if role in held), ""])
        (_, count), *others = new.groups
        return any(
            way.count("first") >= count and all(way.count(role) >= n for role, n in others)
            for way in itertools.product(*seats)
        )


def clear(tx: Transaction) -> None:
    """Empty this room's tables; the ledger goes on."""
    tx.silent("a test starts over")
    for table in (requests, votes, views, delegations, timers):
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
    """A9, A10: a request's events lead to its state; an end is told once, nothing follows."""
    assert set(told) == {row.request for row in rows}
    for row in rows:
        moves = [MOVING[kind] for kind, _ in told[row.request] if kind in MOVING]
        assert row.state == (moves[-1] if moves else "pending")
        assert not any(kind in ENDING for kind, _ in told[row.request][:-1])
        levels = [level for kind, level in told[row.request] if kind == "request.escalated"]
        assert levels == list(range(2, row.level + 1))


def check_execution(rows: list[Any], executed: list[tuple[str, str]]) -> None:
    """A1, A2: what ran had exactly one redeemed grant of its digest, in time."""
    assert sorted((row.run, row.digest) for row in rows if row.redeemed_by) == sorted(executed)
    for row in rows:
        if row.redeemed_by:
            assert row.state in ("redeemed", "succeeded", "failed", "unknown")
            assert row.redeemed_at < row.grant_expires_at


def check_votes(rows: list[Any], cast: list[Any]) -> None:
    """Votes are on the digest, by one name each; a no ends it, and only a full quorum approves."""
    for row in rows:
        mine = [vote for vote in cast if vote.request == row.request]
        assert len({vote.person_key for vote in mine}) == len(mine)
        assert all(vote.digest == row.digest for vote in mine)
        assert (row.state == "denied") == any(vote.verdict != "approve" for vote in mine)
        taken_back = row.state in ("revoked", "cancelled", "superseded")
        if row.grant_expires_at is not None and row.decided_by != "deadline" and not taken_back:
            agreed = sum(vote.verdict == "approve" for vote in mine)
            assert agreed >= sum(count for _, count in groups_of(row))


def test_approvals_hold_in_any_order(database_url: str) -> None:
    run_machine(ApprovalMachine, database_url)
