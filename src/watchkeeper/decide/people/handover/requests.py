"""What a hand-over says of requests: open, decided, approved alone, ended by themselves."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, literal_column, or_, select

from watchkeeper.approvals.emergencies import who_alone
from watchkeeper.approvals.rows import IS_PENDING
from watchkeeper.approvals.tables import requests
from watchkeeper.core import ids
from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.core.durations import duration_text
from watchkeeper.core.words import count
from watchkeeper.decide.people.handover.scope import Scope
from watchkeeper.decide.people.handover.text import plain
from watchkeeper.decide.runs.reconciling import find_words
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Reconciled
from watchkeeper.wire.handover import HandoverItem, HandoverSection

MOST_ITEMS = 15
_MOST_GROUPS = 2000
_LONGEST_GRANT = 86_400 * MICROSECONDS
_row = requests.c
# a literal: only so does SQLite know that its partial index applies
_IS_ALONE = _row.break_glass == literal_column("1")
_APPROVED = ("approved", "redeemed", "succeeded", "failed", "unknown", "lapsed")
_VERBS = {"denied": "rejected"}
_BRIEF = (
    _row.request, _row.state, _row.asks, _row.agent, _row.risk, _row.level, _row.created_at,
    _row.decide_by, _row.decided_by, _row.decided_at, _row.acknowledged_by,
    _row.acknowledged_until, _row.supersedes, _row.review_due_at, _row.reviewed_by,
    _row.redeemed_by,
)  # fmt: skip


def open_requests(tx: Transaction, scope: Scope) -> HandoverSection:
    """Return what waits for a decision of the watch, by time left."""
    mine = [IS_PENDING, *_asks(scope)]
    rows = _first(tx, mine, _row.decide_by)
    is_late = or_(_row.level > 1, _row.decide_by <= tx.now)
    counting = select(func.count(), func.coalesce(func.sum(case((is_late, 1), else_=0)), 0))
    total, late = map(int, tx.connection.execute(counting.where(*mine)).one())
    return HandoverSection(
        part="open",
        title="Open",
        summary=f"{count(total, 'request')} wait{'s' if total == 1 else ''}, {late:,} of them past "
        "the first level.",
        items=tuple(_open_item(row, tx.now) for row in rows),
        total=total,
    )


def decided_requests(tx: Transaction, scope: Scope) -> HandoverSection:
    """Return what people decided, by whom, and what of it is worth a look."""
    period = _within(_row.decided_at, scope, tx.now)
    by_people = [period, _row.decided_by.contains("person/"), *_asks(scope)]
    groups = tx.connection.execute(
        select(_row.decided_by, _row.state, func.count())
        .where(*by_people)
        .group_by(_row.decided_by, _row.state)
        .limit(_MOST_GROUPS)
    )
    verdicts: Counter[str] = Counter()
    people: Counter[str] = Counter()
    for by, state, number in groups:
        verdicts["approved" if state in _APPROVED else _VERBS.get(state, state)] += number
        for person in {one.strip().removeprefix("person/") for one in by.split(",")}:
            people[person] += number
    remarkable = or_(_row.supersedes.is_not(None), _row.state.in_(("failed", "unknown")))
    order = case((remarkable, 0), else_=1), _row.decided_at.desc()
    rows, total = _foremost(tx, by_people, *order)
    known = find_words(tx, [row.redeemed_by for row in rows if row.state == "unknown"])
    said = ", ".join(f"{number:,} {verdict}" for verdict, number in verdicts.most_common())
    who = ", ".join(f"{plain(person)} {number:,}" for person, number in people.most_common(10))
    return HandoverSection(
        part="decided",
        title="Decided",
        summary=f"{count(total, 'request')} decided: {said}; by {who}." if total else "None.",
        items=tuple(_decided_item(row, known.get(row.redeemed_by)) for row in rows),
        total=total,
    )


def alone_requests(tx: Transaction, scope: Scope) -> HandoverSection:
    """Return what was approved by one person alone, and which of it waits for its review."""
    waits = and_(_IS_ALONE, _row.reviewed_by.is_(None))
    period = and_(_IS_ALONE, _within(_row.decided_at, scope, tx.now))
    # each part has an index of its own
    either = select(_row.request).where(waits).union(select(_row.request).where(period))
    chosen = [_row.request.in_(either), *_asks(scope)]
    rows, total = _foremost(tx, chosen, _row.review_due_at)
    due = _count(tx, [waits, *_asks(scope)])
    return HandoverSection(
        part="break-glass",
        title="Break-glass",
        summary=f"{count(total, 'approval')} by one person alone, {due:,} to be reviewed.",
        items=tuple(
            HandoverItem(
                text=f"{_person(who_alone(tx, row))} alone: {plain(row.asks)} for "
                f"{plain(row.agent)}; "
                + (
                    f"review due {utc_text(row.review_due_at)}"
                    if row.reviewed_by is None and row.review_due_at
                    else f"reviewed by {_person(row.reviewed_by)}"
                ),
                kind="request",
                id=row.request,
                at=row.review_due_at,
                pressing=row.reviewed_by is None,
            )
            for row in rows
        ),
        total=total,
    )


def ended_requests(tx: Transaction, scope: Scope) -> HandoverSection:
    """Return what ended without anybody's decision, and what missed its first level's time."""
    period = _within(_row.decided_at, scope, tx.now)
    # what was approved lapses soon after: no grant lasts longer than a day
    lately = _row.decided_at > scope.since - _LONGEST_GRANT
    lapsed = and_(_row.state == "lapsed", _within(_row.ended_at, scope, tx.now))
    ended = [lately, or_(and_(_row.state == "expired", period), lapsed), *_asks(scope)]
    rows, total = _foremost(tx, ended, _row.decide_by.desc())
    breached = _count(tx, [period, _row.level > 1, *_asks(scope)])
    return HandoverSection(
        part="ended",
        title="Expired or breached",
        summary=f"{count(total, 'request')} expired or lapsed; {breached:,} decided past the first "
        "level.",
        items=tuple(
            HandoverItem(
                text=f"{row.state}: {plain(row.asks)} for {plain(row.agent)}",
                kind="request",
                id=row.request,
                at=row.decide_by,
            )
            for row in rows
        ),
        total=total + breached,
    )


def remarkable_requests(tx: Transaction, scope: Scope) -> list[HandoverItem]:
    """Return agents that people refused more than once, and shapes that are asked for often."""
    mine = _asks(scope)
    refused = tx.connection.execute(
        select(_row.agent, func.count().label("count"))
        .where(_row.state == "denied", _within(_row.decided_at, scope, tx.now), *mine)
        .group_by(_row.agent)
        .having(func.count() >= 2)
        .order_by(func.count().desc(), _row.agent)
        .limit(5)
    )
    found = [
        HandoverItem(text=f"people refused {plain(agent)} {number:,} times", kind="agent", id=agent)
        for agent, number in refused
    ]
    repeated = tx.connection.execute(
        select(_row.agent, _row.tool, func.count().label("count"))
        .where(_row.request >= ids.first_at("req", scope.since), *mine)
        .group_by(_row.agent, _row.tool)
        .having(func.count() >= 5)
        .order_by(func.count().desc(), _row.agent)
        .limit(5)
    )
    found += [
        HandoverItem(
            text=f"{plain(agent)} asked for {plain(tool)} {number:,} times: a standing approval "
            "may fit",
            kind="agent",
            id=agent,
        )
        for agent, tool, number in repeated
    ]
    return found


def _asks(scope: Scope) -> list[ColumnElement[bool]]:
    seen: list[ColumnElement[bool]] = [] if scope.agents is None else [_row.agent.in_(scope.agents)]
    if not scope.roles:
        return seen
    asked = (_row.asked.contains(json.dumps(role), autoescape=True) for role in sorted(scope.roles))
    return [or_(*asked), *seen]


def _within(column: Any, scope: Scope, now: int) -> ColumnElement[bool]:
    return and_(column > scope.since, column <= now)


def _foremost(tx: Transaction, conditions: list[Any], *order: Any) -> tuple[list[Row], int]:
    return _first(tx, conditions, *order), _count(tx, conditions)


def _first(tx: Transaction, conditions: list[Any], *order: Any) -> list[Row]:
    query = select(*_BRIEF).where(*conditions).order_by(*order, _row.request).limit(MOST_ITEMS)
    return list(tx.connection.execute(query))


def _count(tx: Transaction, conditions: list[Any]) -> int:
    query = select(func.count()).select_from(requests).where(*conditions)
    return int(tx.connection.execute(query).scalar_one())


def _open_item(row: Row, now: int) -> HandoverItem:
    late = row.decide_by <= now
    left = "late" if late else f"{duration_text(row.decide_by - now)} left"
    level = f", level {row.level}" if row.level > 1 else ""
    held = row.acknowledged_by and (row.acknowledged_until or 0) > now
    on_it = f", {_person(row.acknowledged_by)} is on it" if held else ""
    return HandoverItem(
        text=f"{left} · {row.risk} · {plain(row.asks)} for {plain(row.agent)}{level}{on_it}",
        kind="request",
        id=row.request,
        at=row.decide_by,
        pressing=late or row.level > 1,
    )


def _decided_item(row: Row, known: Reconciled | None) -> HandoverItem:
    how = {
        "failed": "approved, and it failed",
        "unknown": "approved, and nobody knows how it ended",
        "lapsed": "approved, and never used",
    }.get(row.state, "approved" if row.state in _APPROVED else _VERBS.get(row.state, row.state))
    if known is not None:
        how = f"approved, and it {known.status}, says {_person(known.by)}"
    narrowed = "narrowed, then " if row.supersedes else ""
    return HandoverItem(
        text=f"{narrowed}{how} ({_person(row.decided_by)}): {plain(row.asks)} for "
        f"{plain(row.agent)}",
        kind="request",
        id=row.request,
        at=row.decided_at,
        pressing=row.state == "unknown" and known is None,
    )


def _person(name: str | None) -> str:
    return plain((name or "nobody").replace("person/", ""))
