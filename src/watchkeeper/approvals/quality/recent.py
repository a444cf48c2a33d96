"""Requests of one shape, lately approved or waiting now, as hints are taken from them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import get_args

from sqlalchemy import ColumnElement, case, func, select

from watchkeeper.approvals.quality.hints import (
    OFTEN,
    WITHIN_DAYS,
    Approved,
    Waiting,
    hint_group,
    hint_standing,
)
from watchkeeper.approvals.rows import IS_PENDING
from watchkeeper.approvals.standing.reading import list_standing
from watchkeeper.approvals.tables import requests
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Risk
from watchkeeper.wire.quality import Hint

_APPROVED = ("approved", "redeemed", "succeeded", "failed", "unknown", "lapsed")
_MOST_SHAPES = 50
_MOST_LOOKED_AT = 20
_RISKS: tuple[Risk, ...] = get_args(Risk)
_r = requests.c


def read_hints(tx: Transaction, *, agents: Collection[str] | None = None) -> tuple[Hint, ...]:
    """Return the hints of now, the most frequent first; reads a week: for `store.scan`."""
    seen: list[ColumnElement[bool]] = [_r.alike.is_not(None)]
    if agents is not None:
        seen.append(_r.agent.in_(list(agents)))
    standing = [
        (row.agent, row.tool, row.pins) for row in list_standing(tx, agents=agents, limit=500).rows
    ]
    found = [hint_standing(one, standing) for one in _approved(tx, seen)]
    found += [hint_group(one) for one in _waiting(tx, seen)]
    return tuple(hint for hint in found if hint is not None)


def _approved(tx: Transaction, seen: list[ColumnElement[bool]]) -> Iterator[Approved]:
    since = tx.now - WITHIN_DAYS * 86_400 * MICROSECONDS
    by_people = (
        _r.state.in_(_APPROVED)
        & _r.decided_by.like("person/%")
        & (func.coalesce(_r.break_glass, 0) == 0)
    )
    approved = func.sum(case((by_people, 1), else_=0))
    rejected = func.sum(case((_r.state == "denied", 1), else_=0))
    query = (
        select(_r.alike, approved, rejected)
        .where(_r.decided_at > since, *seen)
        .group_by(_r.alike)
        .having(approved >= OFTEN, rejected == 0)
        .order_by(approved.desc(), _r.alike)
        .limit(_MOST_SHAPES)
    )
    for shape, count, rejections in list(tx.connection.execute(query)):
        newest = (
            select(_r.request, _r.agent, _r.tool, _r.risk, _r.amount_micros, _r.arguments)
            .where(_r.decided_at > since, _r.alike == shape, by_people, *seen)
            .order_by(_r.decided_at.desc(), _r.request.desc())
            .limit(_MOST_LOOKED_AT)
        )
        rows = list(tx.connection.execute(newest))
        yield Approved(
            alike=shape,
            agent=rows[0].agent,
            tool=rows[0].tool,
            risk=max((row.risk for row in rows), key=_RISKS.index),
            approved=int(count),
            rejected=int(rejections),
            requests=tuple(row.request for row in rows),
            arguments=tuple(json.loads(row.arguments) for row in rows),
            most_micros=max((row.amount_micros or 0 for row in rows), default=0) or None,
        )


def _waiting(tx: Transaction, seen: list[ColumnElement[bool]]) -> Iterator[Waiting]:
    count = func.count()
    query = (
        select(_r.alike, count, func.min(_r.decide_by))
        .where(IS_PENDING, *seen)
        .group_by(_r.alike)
        .having(count >= OFTEN)
        .order_by(count.desc(), _r.alike)
        .limit(_MOST_SHAPES)
    )
    for shape, waiting, decide_by in list(tx.connection.execute(query)):
        first = (
            select(_r.request, _r.agent, _r.tool)
            .where(IS_PENDING, _r.alike == shape, *seen)
            .order_by(_r.decide_by, _r.request)
            .limit(_MOST_LOOKED_AT)
        )
        rows = list(tx.connection.execute(first))
        yield Waiting(
            alike=shape,
            agent=rows[0].agent,
            tool=rows[0].tool,
            count=int(waiting),
            requests=tuple(row.request for row in rows),
            decide_by=int(decide_by),
        )
