"""Rows of requests, read as what the rules take."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from sqlalchemy import bindparam, literal_column, select

from watchkeeper.approvals.rules import Ballot
from watchkeeper.approvals.tables import requests
from watchkeeper.core.errors import NotFound
from watchkeeper.oncall.model import EscalationPolicy, Level, Position, Step
from watchkeeper.oncall.rules import next_step
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction

TIMER = "approvals.request"
"""The kind of a request's one timer: its next step while pending, its grant's end after."""

# Literals, not parameters: only so does SQLite know that its partial indexes apply.
IS_PENDING = requests.c.state == literal_column("'pending'")
IS_OPEN = requests.c.state.in_([literal_column("'pending'"), literal_column("'approved'")])

_FIND = Statement(select(requests).where(requests.c.request == bindparam("request_is")))


def find(tx: Transaction, request: str) -> Row:
    """Return a request's row; raise :class:`NotFound` if there is none."""
    row = _FIND.first(tx, request_is=request)
    if row is None:
        raise NotFound(
            f"there is no request {request!r:.80}", remedy="see `watchkeeper requests list`"
        )
    return row


def find_or_none(tx: Transaction, request: str) -> Row | None:
    """Return a request's row, or None."""
    return _FIND.first(tx, request_is=request)


def levels_of(row: Row) -> tuple[Level, ...]:
    """Return the levels snapshotted in a request."""
    return _read_levels(row.levels)


# Thousands of requests share a few policies and exclusions.
@lru_cache(maxsize=1024)
def _read_levels(text: str) -> tuple[Level, ...]:
    return tuple(Level(role, after) for role, after in json.loads(text))


@lru_cache(maxsize=1024)
def _read_names(text: str) -> frozenset[str]:
    return frozenset(json.loads(text))


def ballot_of(row: Row) -> Ballot:
    """Return what decides who may vote on a request."""
    return Ballot(
        state=row.state,
        decide_by=row.decide_by,
        level=row.level,
        levels=levels_of(row),
        created_at=row.created_at,
        excluded=_read_names(row.excluded),
        decided_by=row.decided_by,
        decided_at=row.decided_at,
    )


def next_step_of(row: Row) -> Step:
    """Return what happens next to a pending request."""
    return next_step(
        EscalationPolicy(levels_of(row), row.remind_every_seconds),
        Position(row.level, row.level_entered_at, row.reminders),
        created_at=row.created_at,
        decide_by=row.decide_by,
    )


def record(tx: Transaction, row: Row, type_: str, *, actor: str, text: str, **body: Any) -> None:
    """Record an event of a request; `text` says it in words."""
    tx.record(
        type_,
        actor=actor,
        subject=f"request/{row.request}",
        agent=row.agent,
        run=row.run,
        request=row.request,
        body={"tool": row.tool, "digest": row.digest, **body, "text": text},
    )
