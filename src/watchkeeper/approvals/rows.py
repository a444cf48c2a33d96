"""Rows of requests, read as what the rules take."""

from __future__ import annotations

import json
from dataclasses import asdict
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
from watchkeeper.wire.quorum import Groups

TIMER = "approvals.request"
"""The kind of a request's one timer: its next step while pending, its grant's end after."""

# Literals, not parameters: only so does SQLite know that its partial indexes apply.
IS_PENDING = requests.c.state == literal_column("'pending'")
IS_OPEN = requests.c.state.in_([literal_column("'pending'"), literal_column("'approved'")])

_FIND = Statement(select(requests).where(requests.c.request == bindparam("request_is")))
_DECIDE_BY = Statement(
    select(requests.c.decide_by).where(requests.c.request == bindparam("request_is"))
)


def find(tx: Transaction, request: str) -> Row:
    """Return a request's row; raise :class:`NotFound` if there is none."""
    row = _FIND.first(tx, request_is=request)
    if row is None:
        raise NotFound(
            f"there is no request {request!r:.80}", remedy="see `watchkeeper requests list`"
        )
    return row


def decide_by_of(tx: Transaction, request: str) -> int | None:
    """Return until when a request waits for people, or None if there is no such request."""
    found: int | None = _DECIDE_BY.scalar(tx, request_is=request)
    return found


def find_or_none(tx: Transaction, request: str) -> Row | None:
    """Return a request's row, or None."""
    return _FIND.first(tx, request_is=request)


def policy_of(row: Row) -> EscalationPolicy:
    """Return the escalation policy as it was when a request was made."""
    if row.escalation is None:
        return _read_levels(row.levels, row.remind_every_seconds)
    return _read_policy(row.escalation)


def position_of(row: Row) -> Position:
    """Return how far a pending request has come."""
    return Position(
        level=row.level,
        entered_at=row.level_entered_at,
        reminders=row.reminders,
        round=row.round or 1,
        counts_from=row.created_at if row.counts_from is None else row.counts_from,
        acknowledged_until=row.acknowledged_until,
    )


@lru_cache(maxsize=1024)
def write_policy(policy: EscalationPolicy) -> str:
    """Return a policy as a request keeps it."""
    return json.dumps(asdict(policy))


def excluded_of(row: Row) -> frozenset[str]:
    """Return who may not vote on a request, as `rules.excluded_keys` writes it."""
    return _read_excluded(row.excluded)


def groups_of(row: Row) -> Groups:
    """Return who must agree: so many people of each role."""
    if row.groups is None:
        return ((policy_of(row).levels[0].role, row.quorum),)
    return _read_groups(row.groups)


@lru_cache(maxsize=1024)
def _read_groups(text: str) -> Groups:
    return tuple((role, count) for role, count in json.loads(text))


# Thousands of requests share a few policies and exclusions.
@lru_cache(maxsize=1024)
def _read_policy(text: str) -> EscalationPolicy:
    found = json.loads(text)
    levels = tuple(Level(**level) for level in found.pop("levels"))
    return EscalationPolicy(levels, **found)


@lru_cache(maxsize=1024)
def _read_levels(text: str, remind_every_seconds: int | None) -> EscalationPolicy:
    """Read what requests had before they kept their policy."""
    levels = tuple(Level(role, after) for role, after in json.loads(text))
    return EscalationPolicy(levels, remind_every_seconds)


@lru_cache(maxsize=1024)
def _read_excluded(text: str) -> frozenset[str]:
    names = frozenset(json.loads(text))
    # rows of version 1 name principals only, and do not mark them
    marked = any(name.startswith("=") for name in names)
    return names if marked else names | {f"={name}" for name in names}


def ballot_of(row: Row) -> Ballot:
    """Return what decides who may vote on a request."""
    policy, position = policy_of(row), position_of(row)
    return Ballot(
        state=row.state,
        decide_by=row.decide_by,
        level=len(policy.levels) if position.round > 1 else row.level,
        levels=policy.levels,
        created_at=row.created_at,
        counts_from=position.counts_from,
        excluded=excluded_of(row),
        groups=groups_of(row),
        decided_by=row.decided_by,
        decided_at=row.decided_at,
    )


def next_step_of(row: Row) -> Step:
    """Return what happens next to a pending request."""
    return next_step(policy_of(row), position_of(row), decide_by=row.decide_by)


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
        whose=row.on_behalf_of,
    )
