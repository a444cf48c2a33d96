"""Who is there to be asked, and who comes on call while requests wait."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from sqlalchemy import bindparam, delete, literal_column, select, update

from watchkeeper.approvals.people import person_key
from watchkeeper.approvals.rows import IS_PENDING, excluded_of, groups_of, policy_of, record
from watchkeeper.approvals.tables import requests, told
from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.oncall.model import Holders, Level
from watchkeeper.store import timers
from watchkeeper.store.statement import Row, Statement, insert
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.quorum import Groups

TIMER = "approvals.coverage"
"""The kind of the one timer that looks for people who came on call; set while requests wait."""
MOST_TOLD = 50
"""So many requests, the first due, say that somebody came on call; the last says of how many."""
_LOOK_SECONDS = 30
_MOST_COUNTED = 1000
_MOST_LOOKED_AT = 200
_MOST_NAMED = 20

_REMEMBER = Statement(
    insert(told)
    .values(role=bindparam("role"), people=bindparam("people"))
    .on_conflict_do_nothing(index_elements=["role"])
)
_TOLD = Statement(select(told).order_by(told.c.role))
_CHANGE = Statement(
    update(told).where(told.c.role == bindparam("role_is")).values(people=bindparam("now_people"))
)
_FIRST_DUE = Statement(
    select(
        requests.c.request,
        requests.c.agent,
        requests.c.levels,
        requests.c.escalation,
        requests.c.remind_every_seconds,
        requests.c.groups,
        requests.c.quorum,
        requests.c.excluded,
        requests.c.created_at,
        requests.c.decide_by,
    )
    .where(IS_PENDING)
    .order_by(requests.c.decide_by, requests.c.request)
    .limit(bindparam("most"))
)
_FORGET = Statement(delete(told))
_ANY = Statement(select(literal_column("1")).where(IS_PENDING).limit(1))


@dataclass(frozen=True, slots=True)
class Uncovered:
    """A pending request that nobody can decide now, or too few, for lack of people of roles."""

    request: str
    agent: str
    roles: tuple[str, ...]
    created_at: int
    decide_by: int


class Coverage(Protocol):
    """Who holds roles when; what the rooms of documents and of schedules know together."""

    def holders(self, tx: Transaction, role: str, at: int) -> Holders:
        """Return who holds a role at a time: its members, whoever is on call, a person's own."""
        ...

    def next_change(self, tx: Transaction, at: int) -> int | None:
        """Return when somebody next comes on call, or None where no schedule says."""
        ...


class Anybody:
    """Coverage where nothing is known of people: no level is ever empty."""

    def holders(self, tx: Transaction, role: str, at: int) -> Holders:
        """Return that anybody may hold it."""
        return Holders(anyone=True)

    def next_change(self, tx: Transaction, at: int) -> int | None:
        """Return None: there are no schedules."""
        return None


ANYBODY: Coverage = Anybody()


def available(tx: Transaction, coverage: Coverage, role: str, excluded: frozenset[str]) -> Holders:
    """Return who holds a role now and may decide: without those the request is of or for."""
    return _without(coverage.holders(tx, role, tx.now), excluded)


def _without(held: Holders, excluded: frozenset[str]) -> Holders:
    people = tuple(sorted(one for one in held.people if person_key(one) not in excluded))
    return Holders(people, held.anyone)


def lacking(
    levels: Sequence[Level], groups: Groups, held: Callable[[str], Holders]
) -> tuple[str, ...]:
    """Return the roles for which too few people are there to decide; the levels' count as one."""
    roles = tuple(dict.fromkeys(level.role for level in levels if level.role))
    there = [held(role) for role in roles]
    people = {person for one in there for person in one.people}
    enough = any(one.anyone for one in there) or len(people) >= groups[0][1]
    found = [
        role
        for role, count in groups[1:]
        if not held(role).anyone and len(held(role).people) < count
    ]
    return tuple(dict.fromkeys([*(() if enough else roles), *found]))


def named(held: Holders) -> list[str]:
    """Return the people as events keep them: at most 20."""
    return list(held.people[:_MOST_NAMED])


def remember(tx: Transaction, coverage: Coverage, role: str) -> None:
    """Note who holds a role that is asked now, and look out for others while requests wait."""
    held = coverage.holders(tx, role, tx.now)
    if held.anyone:
        return  # nobody can come to hold it who did not
    _REMEMBER.run(tx, role=role, people=json.dumps(sorted(held.people)))
    timers.ensure(tx, TIMER, "all", _next_look(tx, coverage))


def look(tx: Transaction, coverage: Coverage) -> None:
    """Tell whoever came on call since of the requests that wait for them."""
    tx.silent("that nobody new is on call is no event")
    if _ANY.scalar(tx) is None:
        _FORGET.run(tx)
        return
    for row in _TOLD.all(tx):
        people = sorted(coverage.holders(tx, row.role, tx.now).people)
        before = json.loads(row.people)
        if people == before:
            continue
        _CHANGE.run(tx, role_is=row.role, now_people=json.dumps(people))
        if new := [one for one in people if one not in before]:
            _tell(tx, row.role, new)
    timers.schedule(tx, TIMER, "all", _next_look(tx, coverage))


def find_uncovered(tx: Transaction, coverage: Coverage) -> list[Uncovered]:
    """Return those of the pending requests first due that nobody, or too few, can decide now."""
    found = []
    held: dict[str, Holders] = {}

    def there(role: str, excluded: frozenset[str]) -> Holders:
        if role not in held:
            held[role] = coverage.holders(tx, role, tx.now)
        return _without(held[role], excluded)

    for row in _FIRST_DUE.all(tx, most=_MOST_LOOKED_AT):
        excluded = excluded_of(row)
        roles = lacking(policy_of(row).levels, groups_of(row), partial(there, excluded=excluded))
        if roles:
            found.append(Uncovered(row.request, row.agent, roles, row.created_at, row.decide_by))
    return found


def _tell(tx: Transaction, role: str, new: list[str]) -> None:
    waiting = list(_waiting(tx, role))
    for row in waiting[:MOST_TOLD]:
        excluded = excluded_of(row)
        people = [one for one in new if person_key(one) not in excluded][:_MOST_NAMED]
        if not people:
            continue
        more = "" if len(waiting) <= MOST_TOLD else f", with {len(waiting) - 1} others"
        text = (
            f"{', '.join(people)} came on call for {role}: asked as well{more}, to be decided by "
            f"{utc_text(row.decide_by)}"
        )
        record(
            tx,
            row,
            "request.rerouted",
            actor="plane",
            text=text,
            role=role,
            people=people,
            level=row.level,
            round=row.round or 1,
            waiting=len(waiting),
        )


def _waiting(tx: Transaction, role: str) -> list[Row]:
    """Return the pending requests that ask a role, the first due first; at most 1,000."""
    query = (
        select(
            requests.c.request,
            requests.c.agent,
            requests.c.run,
            requests.c.tool,
            requests.c.digest,
            requests.c.decide_by,
            requests.c.excluded,
            requests.c.level,
            requests.c.round,
        )
        .where(IS_PENDING, requests.c.asked.contains(json.dumps(role), autoescape=True))
        .order_by(requests.c.decide_by, requests.c.request)
        .limit(_MOST_COUNTED)
    )
    return list(tx.connection.execute(query))


def _next_look(tx: Transaction, coverage: Coverage) -> int:
    soon = tx.now + _LOOK_SECONDS * MICROSECONDS
    change = coverage.next_change(tx, tx.now)
    return soon if change is None else min(soon, max(change, tx.now + 1))
