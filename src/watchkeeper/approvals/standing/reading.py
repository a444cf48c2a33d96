"""Standing approvals as screens show them."""

from __future__ import annotations

import json
from collections.abc import Collection

from sqlalchemy import or_, select

from watchkeeper.approvals.standing.service import find_standing_approval, read_groups
from watchkeeper.approvals.standing.tables import standing_approvals
from watchkeeper.approvals.tables import requests
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.pages import Page
from watchkeeper.wire.requests import Group
from watchkeeper.wire.standing import StandingRow, StandingState

_c = standing_approvals.c


def list_standing(
    tx: Transaction,
    *,
    everything: bool = False,
    agent: str | None = None,
    agents: Collection[str] | None = None,
    tool: str | None = None,
    after: str | None = None,
    limit: int = 100,
    sequence: int = 0,
) -> Page[StandingRow]:
    """Return a page of standing approvals, newest first; unless everything, those open."""
    query = select(standing_approvals, requests.c.state.label("decided")).join(
        requests, requests.c.request == _c.request
    )
    if not everything:
        stands = (_c.state == "standing") & (_c.expires_at > tx.now)
        proposed = (_c.state == "proposed") & (requests.c.state == "pending")
        query = query.where(or_(stands, proposed))
    if agent is not None:
        query = query.where(_c.agent == agent)
    if agents is not None:
        query = query.where(_c.agent.in_(list(agents)))
    if tool is not None:
        query = query.where(_c.tool == tool)
    if after is not None:
        query = query.where(_c.standing < after)
    found = list(tx.connection.execute(query.order_by(_c.standing.desc()).limit(limit + 1)))
    page = found[:limit]
    return Page[StandingRow](
        rows=tuple(_shown(row, row.decided, tx.now) for row in page),
        next=page[-1].standing if len(found) > limit else None,
        sequence=sequence,
    )


def read_standing(tx: Transaction, standing: str) -> StandingRow:
    """Return one; raise `NotFound` if there is none."""
    row = find_standing_approval(tx, standing)
    decided = select(requests.c.state).where(requests.c.request == row.request)
    return _shown(row, tx.connection.execute(decided).scalar_one(), tx.now)


def _shown(row: Row, decided: str, now: int) -> StandingRow:
    return StandingRow(
        standing=row.standing,
        state=_state(row, decided, now),
        agent=row.agent,
        tool=row.tool,
        pins=json.loads(row.pins),
        uses=row.uses,
        max_uses=row.max_uses,
        each_micros=row.each_micros,
        used_micros=row.used_micros,
        total_micros=row.total_micros,
        seconds=row.seconds,
        expires_at=row.expires_at,
        risk=row.risk,
        groups=tuple(Group(role=role, count=count) for role, count in read_groups(row.groups)),
        reason=row.reason,
        request=row.request,
        proposed_by=row.proposed_by,
        proposed_at=row.proposed_at,
        approved_by=tuple(json.loads(row.approved_by)),
        approved_at=row.approved_at,
        last_used_at=row.last_used_at,
        ended_at=row.ended_at,
        ended_by=row.ended_by,
        ended_why=row.ended_why,
    )


def _state(row: Row, decided: str, now: int) -> StandingState:
    if row.state == "proposed":
        return "proposed" if decided == "pending" else "refused"
    if row.state == "standing":
        return "standing" if row.expires_at > now else "ended"
    return "ended" if row.approved_at is not None else "refused"
