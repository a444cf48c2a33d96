"""What is on record of votes and requests, for the statistics."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Set
from dataclasses import replace
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, and_, case, func, literal_column, or_, select

from watchkeeper.approvals.quality.model import Cast, Ends, Load
from watchkeeper.approvals.quality.rules import (
    MOST_ROWS,
    by_name,
    count,
    sum_ends,
    sum_tallies,
    summarise,
)
from watchkeeper.approvals.quality.tables import judgements
from watchkeeper.approvals.rows import IS_PENDING
from watchkeeper.approvals.tables import requests, votes
from watchkeeper.oncall.model import ANYONE
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.quality import Quality, QualityBy
from watchkeeper.wire.requests import Verdict

_ENDED = (
    "approved", "redeemed", "succeeded", "failed", "unknown", "lapsed", "denied", "expired",
)  # fmt: skip
_NO_CHANGES = "[]"
_AT_ONCE = 1000


_length = func.length
_changes = case((requests.c.changes == _NO_CHANGES, 0), else_=_length(requests.c.changes))
_undone = or_(
    requests.c.state == "denied",
    and_(requests.c.state == "superseded", requests.c.decided_by.like("person/%")),
)
_VOTES = (
    select(
        votes.c.person,
        votes.c.role,
        requests.c.tool,
        votes.c.verdict,
        requests.c.created_at,
        requests.c.decide_by,
        votes.c.at,
        votes.c.view_ms,
        (_length(requests.c.asks) + _length(requests.c.canonical) + _changes).label("characters"),
        case((_undone, 1), else_=0).label("undone"),
        requests.c.review_verdict,
        votes.c.request,
    )
    .select_from(votes.join(requests, requests.c.request == votes.c.request))
    .where(
        # one who approves alone in an emergency casts no vote of a quorum
        votes.c.verdict.in_([literal_column(f"'{verdict}'") for verdict in get_args(Verdict)]),
    )
)


def read_quality(
    tx: Transaction,
    *,
    by: QualityBy,
    since: int,
    until: int,
    held: Mapping[str, Set[str]],
    agents: Collection[str] | None = None,
) -> Quality:
    """Return how approving went from a time to another, by person, role or tool.

    `held` says which roles each known person holds now; `agents`, where given, are the only
    ones whose requests are looked at. Reads every vote of the period: for `store.scan`.
    """
    seen: list[ColumnElement[bool]] = []
    if agents is not None:
        seen.append(requests.c.agent.in_(list(agents)))
    tallies = count(_casts(tx, since, until, seen), by)
    ends = {} if by == "person" else _ends(tx, by, since, until, seen)
    rows = by_name(tallies, ends, _loads(tx, by, held, seen))
    total = sum_ends((ends if by != "person" else _ends(tx, "tool", since, until, seen)).values())
    return Quality(
        by=by,
        since=since,
        until=until,
        everything=summarise("all", sum_tallies(tallies.values()), total, Load(_pending(tx, seen))),
        rows=tuple(rows[:MOST_ROWS]),
        rows_left_out=max(0, len(rows) - MOST_ROWS),
    )


def _casts(
    tx: Transaction, since: int, until: int, seen: list[ColumnElement[bool]]
) -> Iterator[Cast]:
    judged = _judged(tx)
    found = tx.connection.execute(_VOTES.where(votes.c.at >= since, votes.c.at < until, *seen))
    for part in found.partitions(_AT_ONCE):
        for (
            person, role, tool, verdict, created_at, decide_by, at, view_ms, characters, undone,
            review, request,
        ) in part:  # fmt: skip
            told = "wrong" if review == "unjustified" else judged.get(request)
            yield Cast(
                person.removeprefix("person/"),
                role,
                tool,
                verdict == "approve",
                created_at,
                decide_by,
                at,
                view_ms,
                characters,
                undone == 1 and verdict == "approve",
                told or _REVIEWED.get(review),
            )


_REVIEWED: Mapping[Any, Literal["right", "wrong"]] = {"justified": "right"}


def _judged(tx: Transaction) -> dict[str, Literal["right", "wrong"]]:
    """Return what was said of each decision; as many who say wrong as right make it wrong."""
    wrong = func.sum(case((judgements.c.verdict == "wrong", 1), else_=0))
    query = select(judgements.c.request, wrong, func.count()).group_by(judgements.c.request)
    return {
        request: "wrong" if wrongs * 2 >= count else "right"
        for request, wrongs, count in tx.connection.execute(query)
    }


def _ends(
    tx: Transaction,
    by: Literal["role", "tool"],
    since: int,
    until: int,
    seen: list[ColumnElement[bool]],
) -> dict[str, Ends]:
    name = requests.c[by]
    query = (
        select(
            name,
            func.count(),
            func.sum(case((requests.c.state == "expired", 1), else_=0)),
            func.sum(case((requests.c.level > 1, 1), else_=0)),
        )
        .where(
            requests.c.decided_at >= since,
            requests.c.decided_at < until,
            requests.c.state.in_(_ENDED),
            *seen,
        )
        .group_by(name)
    )
    return {row[0]: Ends(*map(int, row[1:])) for row in tx.connection.execute(query)}


def _loads(
    tx: Transaction, by: QualityBy, held: Mapping[str, Set[str]], seen: list[ColumnElement[bool]]
) -> dict[str, Load]:
    column = requests.c.tool if by == "tool" else requests.c.asked
    query = select(column, func.count()).where(IS_PENDING, *seen).group_by(column)
    waiting = list(tx.connection.execute(query))
    if by == "tool":
        return {tool: Load(number) for tool, number in waiting}
    asked = [(frozenset(json.loads(roles)), number) for roles, number in waiting]
    loads: dict[str, Load] = {}
    if by == "person":
        for person, roles in held.items():
            mine = sum(n for those, n in asked if ANYONE in roles or not those.isdisjoint(roles))
            if mine:
                loads[person] = Load(mine)
        return loads
    for those, number in asked:
        for role in those:
            known = loads.get(role, Load(0, sum(role in roles for roles in held.values())))
            loads[role] = replace(known, pending=known.pending + number)
    return loads


def _pending(tx: Transaction, seen: list[ColumnElement[bool]]) -> int:
    query = select(func.count()).select_from(requests).where(IS_PENDING, *seen)
    return int(tx.connection.execute(query).scalar_one())
