"""What is on record of votes and requests, for the statistics."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Set
from dataclasses import replace
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, case, func, or_, select

from watchkeeper.approvals.quality.model import Cast, Ends, Load
from watchkeeper.approvals.quality.rules import MOST_ROWS, by_name, sum_ends, summarise
from watchkeeper.approvals.quality.tables import judgements
from watchkeeper.approvals.rows import IS_PENDING
from watchkeeper.approvals.tables import requests, votes
from watchkeeper.oncall.model import ANYONE
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.quality import Quality, QualityBy

_ENDED = (
    "approved", "redeemed", "succeeded", "failed", "unknown", "lapsed", "denied", "expired",
)  # fmt: skip
_NO_CHANGES = "[]"


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
    casts = _casts(tx, since, until, seen)
    ends = {} if by == "person" else _ends(tx, by, since, until, seen)
    rows = by_name(casts, by, ends, _loads(tx, by, held, seen))
    total = sum_ends((ends if by != "person" else _ends(tx, "tool", since, until, seen)).values())
    return Quality(
        by=by,
        since=since,
        until=until,
        everything=summarise("all", casts, total, Load(_pending(tx, seen))),
        rows=tuple(rows[:MOST_ROWS]),
        rows_left_out=max(0, len(rows) - MOST_ROWS),
    )


def _casts(tx: Transaction, since: int, until: int, seen: list[ColumnElement[bool]]) -> list[Cast]:
    length = func.length
    changes = case((requests.c.changes == _NO_CHANGES, 0), else_=length(requests.c.changes))
    undone = or_(
        requests.c.state == "denied",
        and_(requests.c.state == "superseded", requests.c.decided_by.like("person/%")),
    )
    query = (
        select(
            votes.c.person,
            votes.c.role,
            requests.c.tool,
            votes.c.verdict,
            requests.c.created_at,
            requests.c.decide_by,
            votes.c.at,
            votes.c.view_ms,
            length(requests.c.asks) + length(requests.c.canonical) + changes,
            case((undone, 1), else_=0),
            requests.c.review_verdict,
            votes.c.request,
        )
        .select_from(votes.join(requests, requests.c.request == votes.c.request))
        .where(votes.c.at >= since, votes.c.at < until, *seen)
    )
    judged = _judged(tx)
    return [
        Cast(
            person.removeprefix("person/"),
            role,
            tool,
            verdict == "approve",
            created_at,
            decide_by,
            at,
            view_ms,
            characters,
            bool(undone_) and verdict == "approve",
            "wrong" if review == "unjustified" else judged.get(request) or _REVIEWED.get(review),
        )
        for (
            person, role, tool, verdict, created_at, decide_by, at, view_ms, characters,
            undone_, review, request,
        ) in tx.connection.execute(query)
    ]  # fmt: skip


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
        return {tool: Load(count) for tool, count in waiting}
    asked = [(frozenset(json.loads(roles)), count) for roles, count in waiting]
    loads: dict[str, Load] = {}
    if by == "person":
        for person, roles in held.items():
            mine = sum(n for those, n in asked if ANYONE in roles or not those.isdisjoint(roles))
            if mine:
                loads[person] = Load(mine)
        return loads
    for those, count in asked:
        for role in those:
            known = loads.get(role, Load(0, sum(role in roles for roles in held.values())))
            loads[role] = replace(known, pending=known.pending + count)
    return loads


def _pending(tx: Transaction, seen: list[ColumnElement[bool]]) -> int:
    query = select(func.count()).select_from(requests).where(IS_PENDING, *seen)
    return int(tx.connection.execute(query).scalar_one())
