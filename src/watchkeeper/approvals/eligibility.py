"""What a person may decide now, for lists, counts and screens; the same as voting says."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence, Set
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, literal_column, not_, or_, select

from watchkeeper.approvals.delegations import voters_of
from watchkeeper.approvals.people import STRANGERS, People, Voter
from watchkeeper.approvals.rows import ballot_of, groups_of
from watchkeeper.approvals.rules import why_not
from watchkeeper.approvals.tables import requests, votes
from watchkeeper.approvals.voting import count_votes, filled, has_voted
from watchkeeper.oncall.model import ANYONE
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.requests import Group


class Viewer:
    """Somebody who looks at requests, with every way in which they may vote now."""

    def __init__(
        self,
        tx: Transaction,
        person: str,
        roles: Set[str],
        people: People = STRANGERS,
        decides: Collection[str] | None = None,
    ) -> None:
        """`decides` are the agents whose requests they may decide at all; None: every agent's."""
        self._tx = tx
        self._decides = decides
        self._people = people
        self.ways = voters_of(tx, person, roles, people)

    def votes_on(self, page: Iterable[Row]) -> dict[str, list[Row]]:
        """Return the votes on requests, by request."""
        named = [row.request for row in page if row.approvals or row.decided_at is not None]
        found: dict[str, list[Row]] = {}
        if named:
            query = select(votes).where(votes.c.request.in_(named))
            for vote in self._tx.connection.execute(query.order_by(votes.c.at)):
                found.setdefault(vote.request, []).append(vote)
        return found

    def fields(self, row: Row, cast: Sequence[Row]) -> dict[str, Any]:
        """Return what a list shows of who must agree, and of whether this person may."""
        ballot, now = ballot_of(row), self._tx.now
        barriers = [
            why_not(ballot, way, voted=has_voted(cast, way, self._people), now=now)
            for way in self.ways
        ]
        mine = next((way for way, one in zip(self.ways, barriers, strict=True) if not one), None)
        why = None if mine or barriers[0] is None else barriers[0].text
        if mine is not None and self._decides is not None and row.agent not in self._decides:
            why, mine = f"{mine.name} may not decide what {row.agent} asks", None
        owed = mine.acting_for if mine else None
        have = filled(row, count_votes(row, cast, self._people))
        return {
            "mine": mine is not None,
            "why_not": why,
            "acting_for": owed.name if owed else None,
            "groups": tuple(
                Group(role=role, count=count, have=had)
                for (role, count), had in zip(groups_of(row), have, strict=True)
            ),
        }

    def may_vote(self) -> ColumnElement[bool]:
        """Select what `rules.why_not` lets this person vote on, in some way."""
        conditions = [
            requests.c.decide_by > self._tx.now,
            or_(*(_may_vote(way) for way in self.ways)),
        ]
        if self._decides is not None:
            conditions.append(requests.c.agent.in_(sorted(self._decides)))
        return and_(*conditions)


def _may_vote(voter: Voter) -> ColumnElement[bool]:
    keys = sorted(voter.both)
    acting = [f"person/{key}" for key in keys]
    conditions = [not_(_holds(requests.c.excluded, key)) for key in keys]
    linked = voter.linked | (voter.acting_for.linked if voter.acting_for else frozenset())
    for key in sorted(linked):
        conditions.append(not_(_holds(requests.c.excluded, f"={key}")))
        # requests of version 1 name principals only, and do not mark them
        marked = requests.c.excluded.contains('"=', autoescape=True)
        conditions.append(or_(marked, not_(_holds(requests.c.excluded, key))))
    cast = exists().where(
        votes.c.request == requests.c.request,
        or_(votes.c.person_key.in_(keys), votes.c.acting_for.in_(acting)),
    )
    conditions.append(not_(and_(requests.c.approvals > 0, cast)))
    if ANYONE not in voter.roles:
        asked = (_holds(requests.c.asked, role) for role in sorted(voter.roles))
        conditions.append(or_(literal_column("1 = 0"), *asked))
    return and_(*conditions)


def _holds(column: Any, name: str) -> ColumnElement[bool]:
    """Select where a JSON list of names has one."""
    found: ColumnElement[bool] = column.contains(json.dumps(name), autoescape=True)
    return found
