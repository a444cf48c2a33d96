"""Delegations: somebody votes for another for a time; one person's votes all the same.

A delegation is made by who gives it, ends by itself, and leads no further: what was delegated
to somebody they can't hand on.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Set

from sqlalchemy import bindparam, or_, select, update

from watchkeeper.approvals.people import People, Voter
from watchkeeper.approvals.tables import delegations
from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.core.errors import Conflict, Forbidden, Invalid, NotFound
from watchkeeper.oncall.model import ANYONE
from watchkeeper.oncall.rules import covers
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction

LONGEST_SECONDS = 30 * 86_400
MOST = 20
"""How many delegations somebody may give, and how many may be given to them, at a time."""

_ADD = Statement(delegations.insert())
_FIND = Statement(select(delegations).where(delegations.c.delegation == bindparam("delegation_is")))
_ANY = Statement(
    select(delegations.c.delegation)
    .where(delegations.c.ended_at.is_(None), delegations.c.ends_at > bindparam("now"))
    .limit(1)
)
_END = Statement(
    update(delegations)
    .where(delegations.c.delegation == bindparam("delegation_is"), delegations.c.ended_at.is_(None))
    .values(ended_at=bindparam("at"), ended_by=bindparam("who"))
)


def delegate(
    tx: Transaction,
    giver: str,
    taker: str,
    people: People,
    *,
    roles: Collection[str] = (),
    starts_at: int | None = None,
    ends_at: int,
    note: str | None = None,
    owner: bool = False,
) -> str:
    """Let `taker` vote for `giver` for a time and return the delegation's id.

    Both are plain names; `giver` makes it, as the plane's `owner` where that is so. `roles`: in
    these only; none: in all that the giver holds. Raises `Invalid` for a time that is over or
    ends in more than 30 days; `Conflict` (`too_many`) where either has twenty.
    """
    start = max(tx.now, starts_at or tx.now)
    if people.key(giver) == people.key(taker):
        raise Invalid("nobody delegates to themselves", where="to", rule="delegation/to")
    if not people.known(taker):
        raise Invalid(
            f"no document names {taker!r:.80}",
            where="to",
            rule="delegation/to",
            remedy="delegate to somebody the plane knows; `watchkeeper people list` names them",
        )
    if ends_at <= start:
        raise Invalid("it would end before it begins", where="until", rule="delegation/time")
    if ends_at - tx.now > LONGEST_SECONDS * MICROSECONDS:
        raise Invalid(
            "a delegation ends within 30 days",
            where="until",
            rule="delegation/time",
            remedy="make another one then",
        )
    for name, word in ((giver, "given"), (taker, "taken")):
        mine = [row for row in _of(tx, people.names(name)) if _key(row, word) in people.names(name)]
        if len(mine) >= MOST:
            raise Conflict(
                f"{name} has {word} {MOST} delegations already",
                code="too_many",
                rule="delegation/number",
                remedy="end one first",
            )
    delegation = tx.new_id("del")
    listed = json.dumps(sorted(set(roles))) if roles else None
    _ADD.run(
        tx,
        delegation=delegation,
        giver=giver,
        giver_key=people.key(giver),
        taker=taker,
        taker_key=people.key(taker),
        roles=listed,
        owner=int(owner),
        starts_at=start,
        ends_at=ends_at,
        made_at=tx.now,
        note=note,
        ended_at=None,
        ended_by=None,
    )
    what = " in " + ", ".join(sorted(set(roles))) if roles else ""
    tx.record(
        "delegation.made",
        actor=f"person/{giver}",
        subject=f"delegation/{delegation}",
        body={
            "from": giver,
            "to": taker,
            "roles": sorted(set(roles)),
            "starts_at": start,
            "ends_at": ends_at,
            "note": note,
            "text": f"{taker} may vote for {giver}{what} from {utc_text(start)} until "
            f"{utc_text(ends_at)}",
        },
    )
    return delegation


def end_delegation(tx: Transaction, delegation: str, *, by: str, people: People) -> None:
    """End a delegation now; who gave it and who has it may.

    Raises `NotFound`, `Forbidden` for anybody else, `Conflict` where it is over.
    """
    row = find_delegation(tx, delegation)
    if people.key(by) not in {people.key(row.giver), people.key(row.taker)}:
        raise Forbidden(
            f"this is between {row.giver} and {row.taker}",
            rule="delegation/end",
            remedy="have one of them end it",
        )
    if row.ends_at <= tx.now or not _END.run(tx, delegation_is=delegation, at=tx.now, who=by):
        raise Conflict(
            f"delegation {delegation} is over already",
            code="already_over",
            rule="delegation/over",
            remedy="see `watchkeeper delegations list --all`",
        )
    tx.record(
        "delegation.ended",
        actor=f"person/{by}",
        subject=f"delegation/{delegation}",
        body={
            "from": row.giver,
            "to": row.taker,
            "text": f"{by} ended it: {row.taker} votes for {row.giver} no longer",
        },
    )


def find_delegation(tx: Transaction, delegation: str) -> Row:
    """Return a delegation; raise `NotFound` if there is none."""
    row = _FIND.first(tx, delegation_is=delegation)
    if row is None:
        raise NotFound(
            f"there is no delegation {delegation!r:.80}",
            remedy="see `watchkeeper delegations list`",
        )
    return row


def list_delegations(tx: Transaction, *, over: bool = False, limit: int = 500) -> list[Row]:
    """Return delegations, the newest first: those in force or to come, or those over too."""
    query = select(delegations).order_by(delegations.c.delegation.desc()).limit(limit)
    if not over:
        query = query.where(delegations.c.ended_at.is_(None), delegations.c.ends_at > tx.now)
    return list(tx.connection.execute(query))


def linked(tx: Transaction, names: Iterable[str], people: People) -> list[str]:
    """Return who delegates to any of some people or has a delegation of theirs, now or later."""
    keys = {key for name in names if name for key in people.names(name)}
    found = (
        person
        for row in _of(tx, keys)
        for person, key in ((row.taker, row.giver_key), (row.giver, row.taker_key))
        if key in keys
    )
    return list(dict.fromkeys(found))


def voter_of(tx: Transaction, person: str, roles: Set[str], people: People) -> Voter:
    """Return somebody as they vote for themselves now; `roles` are those they hold."""
    return _voter(tx, person, roles, people)


def voters_of(tx: Transaction, person: str, roles: Set[str], people: People) -> tuple[Voter, ...]:
    """Return every way in which somebody may vote now: first their own, then for others."""
    own = people.names(person)
    rows = _of(tx, own)
    me = Voter(person, own, roles, _links(rows, own, people))
    ways = [me]
    for row in rows:
        if row.taker_key in own and row.starts_at <= tx.now:
            held = frozenset({ANYONE}) if row.owner else people.roles(row.giver)
            if row.roles is not None:
                held = frozenset(role for role in json.loads(row.roles) if covers(held, role))
            giver = _voter(tx, f"person/{row.giver}", held, people)
            ways.append(Voter(person, own, held, me.linked, giver))
    return tuple(ways)


def _voter(tx: Transaction, person: str, roles: Set[str], people: People) -> Voter:
    keys = people.names(person)
    return Voter(person, keys, roles, _links(_of(tx, keys), keys, people))


def _links(rows: list[Row], keys: Set[str], people: People) -> frozenset[str]:
    others = (row.giver if row.taker_key in keys else row.taker for row in rows)
    return frozenset(key for name in others for key in people.names(name)) - keys


def _of(tx: Transaction, keys: Collection[str]) -> list[Row]:
    """Return the delegations of some people, either way, that are not over, in order."""
    if _ANY.scalar(tx, now=tx.now) is None:
        return []  # most planes have none, and each request asks
    named = list(keys)
    query = (
        select(delegations)
        .where(
            or_(delegations.c.giver_key.in_(named), delegations.c.taker_key.in_(named)),
            delegations.c.ended_at.is_(None),
            delegations.c.ends_at > tx.now,
        )
        .order_by(delegations.c.delegation)
    )
    return list(tx.connection.execute(query))


def _key(row: Row, word: str) -> str:
    return str(row.giver_key if word == "given" else row.taker_key)
