"""Requests as screens show them: pages, one in full, its timeline, how many wait."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence, Set
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Select,
    case,
    func,
    literal_column,
    select,
    tuple_,
)

from watchkeeper.approvals.eligibility import Viewer
from watchkeeper.approvals.handled import detail_fields, row_fields
from watchkeeper.approvals.model import Counts
from watchkeeper.approvals.people import STRANGERS, People
from watchkeeper.approvals.quality.judging import read_judgements
from watchkeeper.approvals.rows import IS_PENDING, ballot_of, find, policy_of
from watchkeeper.approvals.signing import deciding_of
from watchkeeper.approvals.tables import requests
from watchkeeper.approvals.timeline import read_timeline
from watchkeeper.approvals.voting import read_votes
from watchkeeper.approvals.words import escalation_words, history_words
from watchkeeper.core.digest import parse
from watchkeeper.core.errors import Invalid
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.agents import BusinessObject
from watchkeeper.wire.pages import Page
from watchkeeper.wire.requests import Change, RequestDetail, RequestRow, VoteRow

Which = Literal["pending", "decided", "all", "review"]
"""review: approved by one person alone in an emergency, and not reviewed; by when they are due."""
Together = Literal["tool", "agent", "object"]
"""What pending requests stand together by; within, they come by deadline."""

_MOST_WORDS = 20
_LONGEST_FILTER = 500
_NOT_SHOWN = {"canonical", "arguments", "changes", "goal", "rule_text", "explanation", "search"}
_ROW = [column for column in requests.c if column.name not in _NOT_SHOWN]


def list_requests(
    tx: Transaction,
    *,
    person: str,
    roles: Set[str],
    state: Which = "pending",
    role: str | None = None,
    agent: str | None = None,
    agents: Collection[str] | None = None,
    text: str | None = None,
    together: Together | None = None,
    after: str | None = None,
    limit: int = 100,
    sequence: int = 0,
    people: People = STRANGERS,
    decides: Collection[str] | None = None,
) -> Page[RequestRow]:
    """Return a page of requests as a person with some roles sees them.

    Pending ones come by deadline, the others newest decision first, all of them newest
    first. `role` is the one asked now; `text` is looked for in what is asked, the object,
    the tool and the agent; `agents`, where given, are the only ones shown, and `decides` the
    only ones whose requests the person may decide. `total` counts all that match. Raises
    `Invalid` for an `after` that no page gave.
    """
    conditions = _filters(state, role, agent, text)
    if agents is not None:
        conditions.append(requests.c.agent.in_(agents))
    query = select(*_ROW).where(*conditions)
    group = None if state != "pending" or together is None else _GROUPS[together]
    if group is not None:
        query = query.add_columns(group.label("stands_with"))
        query = _in_groups(query, group, after).limit(limit + 1)
    else:
        query = _in_order(query, state, after).limit(limit + 1)
    found = list(tx.connection.execute(query))
    page = found[:limit]
    viewer = Viewer(tx, person, roles, people, decides)
    cast = viewer.votes_on(page)
    counting = select(func.count()).select_from(requests).where(*conditions)
    return Page[RequestRow](
        rows=tuple(RequestRow(**_shown(row, viewer, cast.get(row.request, ()))) for row in page),
        next=_after(page[-1], state, grouped=group is not None) if len(found) > limit else None,
        total=int(tx.connection.execute(counting).scalar_one()),
        sequence=sequence,
    )


def read_request(
    tx: Transaction,
    request: str,
    *,
    person: str,
    roles: Set[str],
    people: People = STRANGERS,
    decides: Collection[str] | None = None,
) -> RequestDetail:
    """Return all that a person needs to decide; raise `NotFound` if there is none."""
    row = find(tx, request)
    cast = read_votes(tx, request)
    return RequestDetail(
        **_shown(row, Viewer(tx, person, roles, people, decides), cast),
        version=row.agent_version,
        on_behalf_of=row.on_behalf_of,
        goal=row.goal,
        **detail_fields(tx, row),
        changes=tuple(Change(**change) for change in json.loads(row.changes)),
        blast_radius=row.blast_radius,
        blast_source=row.blast_source,
        rollback=row.rollback,
        reversible=None if row.reversible is None else bool(row.reversible),
        rule=row.rule,
        rule_text=row.rule_text,
        timeout_outcome=row.timeout_outcome,
        votes=tuple(
            VoteRow(
                person=vote.person,
                role=vote.role,
                verdict=vote.verdict,
                reason=vote.reason,
                at=vote.at,
                acting_for=vote.acting_for,
                digest=vote.digest,
                view_seconds=None if vote.view_ms is None else vote.view_ms / 1000,
                key=vote.key,
                signature=vote.signature,
                channel=vote.channel,
            )
            for vote in cast
        ),
        escalation=escalation_words(row),
        history=history_words(tx, row),
        explanation=row.explanation,
        timeline=read_timeline(tx, request),
        deciding=deciding_of(row),
        asked=ballot_of(row).asked,
        standing=row.standing,
        callback=row.callback,
        judgements=read_judgements(tx, request),
    )


def count_pending(
    tx: Transaction,
    *,
    person: str,
    roles: Set[str],
    people: People = STRANGERS,
    agents: Collection[str] | None = None,
    decides: Collection[str] | None = None,
) -> Counts:
    """Count what is pending, what a person may decide now, and what is past its first level.

    `agents` and `decides` as for lists.
    """
    may_vote = Viewer(tx, person, roles, people, decides).may_vote()
    query = select(
        func.count().label("pending"),
        func.coalesce(func.sum(_as_number(may_vote)), 0).label("waiting"),
        func.coalesce(func.sum(_as_number(requests.c.level > 1)), 0).label("late"),
    ).where(IS_PENDING)
    if agents is not None:
        query = query.where(requests.c.agent.in_(sorted(agents)))
    row = tx.connection.execute(query).one()
    return Counts(int(row.pending), int(row.waiting), int(row.late))


def _as_number(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return case((condition, 1), else_=0)


def _filters(
    state: Which, role: str | None, agent: str | None, text: str | None
) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if state == "pending":
        conditions.append(IS_PENDING)
    elif state == "decided":
        conditions.append(requests.c.decided_at.is_not(None))
    elif state == "review":
        # as literals, which the index over these is known by
        conditions.append(requests.c.break_glass == literal_column("1"))
        conditions.append(requests.c.reviewed_by.is_(None))
    if role:
        conditions.append(requests.c.role == role)
    if agent:
        conditions.append(requests.c.agent == agent)
    words = (text or "").lower().split()
    if len(words) > _MOST_WORDS or len(text or "") > _LONGEST_FILTER:
        raise Invalid(
            f"a filter has at most {_MOST_WORDS} words and {_LONGEST_FILTER} characters",
            where="filter",
        )
    conditions += [requests.c.search.contains(word, autoescape=True) for word in words]
    return conditions


_ORDERED_BY = {"pending": "decide_by", "decided": "decided_at", "review": "review_due_at"}


def _in_order(query: Select[Any], state: Which, after: str | None) -> Select[Any]:
    request = requests.c.request
    if state == "all":
        query = query.order_by(request.desc())
        return query if after is None else query.where(request < after)
    at = requests.c[_ORDERED_BY[state]]
    if state != "decided":
        query = query.order_by(at, request)
    else:
        query = query.order_by(at.desc(), request.desc())
    if after is None:
        return query
    number, _, last = after.partition(":")
    if not (number.isascii() and number.isdecimal() and len(number) < 19 and last):
        raise Invalid("not a key that a page ended with", where="after")
    here, there = tuple_(at, request), tuple_(int(number), last)
    return query.where(here < there if state == "decided" else here > there)


_GROUPS: dict[Together, ColumnElement[str]] = {
    "tool": requests.c.tool,
    "agent": requests.c.agent,
    "object": func.coalesce(requests.c.object_kind, "")
    + " "
    + func.coalesce(requests.c.object_id, ""),
}


def _in_groups(query: Select[Any], group: ColumnElement[str], after: str | None) -> Select[Any]:
    request, at = requests.c.request, requests.c.decide_by
    query = query.order_by(group, at, request)
    if after is None:
        return query
    try:
        name, number, last = parse(after)
    except (Invalid, TypeError, ValueError):
        name, number, last = None, None, None
    if (
        not (isinstance(name, str) and type(number) is int and isinstance(last, str))
        or not 0 <= number < 2**63
    ):
        raise Invalid("not a key that a page ended with", where="after")
    return query.where(tuple_(group, at, request) > tuple_(name, number, last))


def _after(row: Row, state: Which, *, grouped: bool) -> str:
    if grouped:
        return json.dumps([row.stands_with, row.decide_by, row.request])
    if state == "all":
        return str(row.request)
    return f"{getattr(row, _ORDERED_BY[state])}:{row.request}"


def _shown(row: Row, viewer: Viewer, cast: Sequence[Row]) -> dict[str, Any]:
    policy = policy_of(row)
    waits = row.state == "pending" and row.acknowledged_until is not None
    about = None
    if row.object_kind and row.object_id:
        about = BusinessObject(kind=row.object_kind, id=row.object_id)
    return {
        "request": row.request,
        "state": row.state,
        "risk": row.risk,
        "agent": row.agent,
        "run": row.run,
        "tool": row.tool,
        "asks": row.asks,
        "object": about,
        "amount_micros": row.amount_micros,
        "role": row.role,
        "level": row.level,
        "levels": len(policy.levels),
        "round": row.round or 1,
        "rounds": policy.rounds,
        "acknowledged_by": row.acknowledged_by if waits else None,
        "acknowledged_until": row.acknowledged_until if waits else None,
        "approvals": row.approvals,
        "quorum": row.quorum,
        "created_at": row.created_at,
        "decide_by": row.decide_by,
        "next_at": row.next_at,
        "digest": row.digest,
        "decided_by": row.decided_by,
        "decided_at": row.decided_at,
        **viewer.fields(row, cast),
        **row_fields(row, cast),
        "signed": deciding_of(row).signed,
        "kind": row.kind or "action",
        "alike": row.alike or "",
    }
