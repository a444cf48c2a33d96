"""Who is there to be asked, and that nobody is."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from sqlalchemy import bindparam, select

from watchkeeper.approvals.people import person_key
from watchkeeper.approvals.rows import IS_PENDING, excluded_of, groups_of, policy_of, record
from watchkeeper.approvals.tables import requests, told
from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.oncall.model import EscalationPolicy, Holders, Level
from watchkeeper.store import timers
from watchkeeper.store.statement import Row, Statement, insert
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.quorum import Groups, quorum_words

TIMER = "approvals.coverage"
"""The kind of the one timer that looks for people who came on call; set while requests wait."""
_LOOK_SECONDS = 30
_MOST_LOOKED_AT = 200
MOST_NAMED = 20

_REMEMBER = Statement(
    insert(told)
    .values(role=bindparam("role"), people=bindparam("people"))
    .on_conflict_do_nothing(index_elements=["role"])
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
    return list(held.people[:MOST_NAMED])


def remember(tx: Transaction, coverage: Coverage, role: str) -> None:
    """Note who holds a role that is asked now, and look out for others while requests wait."""
    held = coverage.holders(tx, role, tx.now)
    if held.anyone:
        return  # nobody can come to hold it who did not
    _REMEMBER.run(tx, role=role, people=json.dumps(sorted(held.people)))
    timers.ensure(tx, TIMER, "all", next_look(tx, coverage))


def alarm(
    tx: Transaction,
    row: Row,
    policy: EscalationPolicy,
    roles: Sequence[str],
    *,
    anybody: bool,
    level: int,
    round: int,
    left: str | None = None,
) -> None:
    """Record that nobody can decide a request, or with `anybody` too few; all channels are told.

    `left` is the role that somebody went off call for, where that is why.
    """
    names = ", ".join(roles)
    if anybody:
        who = f"TOO FEW people are on call for {names}: {quorum_words(groups_of(row))} must agree"
    else:
        who = f"NOBODY is on call for {names}"
    outcome = "denied" if row.timeout_outcome == "deny" else "allowed"
    record(
        tx,
        row,
        "request.no_coverage",
        actor="plane",
        text=f"{who}: {outcome} at {utc_text(row.decide_by)} unless somebody comes on call",
        roles=list(roles),
        channels=list(dict.fromkeys(one.channel for one in policy.levels if one.channel)),
        level=level,
        round=round,
        left=left,
    )


def next_look(tx: Transaction, coverage: Coverage) -> int:
    """Return when to look again who is on call: at the next change of shift, within 30 s."""
    soon = tx.now + _LOOK_SECONDS * MICROSECONDS
    change = coverage.next_change(tx, tx.now)
    return soon if change is None else min(soon, max(change, tx.now + 1))


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
