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

from tests.approvals.crowd import ACTIONS, ALIASES, FIRST, LATEST, LEVELS, NAMES, PAIRS, Crowd
from tests.approvals.ground import pass_time
from tests.approvals.invariants import (
    check_execution,
    check_ledger,
    check_timers,
    check_votes,
    clear,
    everything,
)
from tests.rig.machines import run_machine
from watchkeeper.approvals import service
from watchkeeper.approvals.delegations import delegate, end_delegation, list_delegations
from watchkeeper.approvals.model import NewRequest
from watchkeeper.approvals.rows import find
from watchkeeper.approvals.superseding import supersede
from watchkeeper.approvals.voiding import void
from watchkeeper.core.clock import MICROSECONDS, RehearsalClock
from watchkeeper.core.errors import Conflict, Forbidden, WatchkeeperError
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

T = TypeVar("T")


class Agreed(NamedTuple):
    """An approval as the test remembers it: by whom, in which roles, who had a document then."""

    person: str
    acting_for: str | None
    held: Set[str]
    known: Set[str]


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


def test_approvals_hold_in_any_order(database_url: str) -> None:
    run_machine(ApprovalMachine, database_url)
