"""What a hand-over says beside requests: locks, budgets, tools, deliveries, gaps, odd ends."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, func, or_, select

from watchkeeper.budgets import reading as budgets
from watchkeeper.budgets.model import Cap
from watchkeeper.core import ids
from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.core.durations import duration_text
from watchkeeper.core.errors import TooLarge
from watchkeeper.core.words import count
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.people.handover.requests import remarkable_requests
from watchkeeper.decide.people.handover.scope import Scope
from watchkeeper.decide.people.handover.text import plain
from watchkeeper.decide.tables import decisions
from watchkeeper.decide.tools.tooling import waiting_pins
from watchkeeper.kill.tables import locks
from watchkeeper.oncall.schedules import gaps
from watchkeeper.outbox.reading import lost
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.handover import HandoverItem, HandoverSection

MOST_ITEMS = 15
GAP_DAYS = 7
_DAY = 86_400 * MICROSECONDS


def locks_of(tx: Transaction, scope: Scope) -> HandoverSection:
    """Return what is killed or paused, and what was within the period."""
    row = locks.c
    in_force = row.lifted_at.is_(None)
    lately = and_(row.created_at > scope.since, row.created_at <= tx.now)
    ended = and_(row.lifted_at > scope.since, row.lifted_at <= tx.now)
    found = list(
        tx.connection.execute(
            select(locks).where(or_(in_force, lately, ended)).order_by(row.lock.desc()).limit(500)
        )
    )
    standing = [one for one in found if one.lifted_at is None]
    made = sum(one.created_at > scope.since for one in found)
    ordered = [*standing, *(one for one in found if one.lifted_at is not None)]
    return HandoverSection(
        part="locks",
        title="Kills and locks",
        summary=f"{count(len(standing), 'lock')} in force; {made:,} put in force in the period.",
        items=tuple(_lock_item(one) for one in ordered[:MOST_ITEMS]),
        total=len(found),
    )


def budgets_of(tx: Transaction, standing: Sequence[Cap]) -> HandoverSection:
    """Return the budgets that refuse, or soon will."""
    rows = budgets.list_budgets(tx, standing=standing, near=True, limit=MOST_ITEMS).rows
    return HandoverSection(
        part="budgets",
        title="Budgets near their cap",
        summary=f"{sum(row.state == 'exhausted' for row in rows):,} exhausted, "
        f"{sum(row.state == 'warning' for row in rows):,} close.",
        items=tuple(
            HandoverItem(
                text=f"{plain(row.budget)} is "
                + ("exhausted" if row.state == "exhausted" else "close to its cap")
                + (f", refused {count(row.refused, 'action')}" if row.refused else ""),
                kind="budget",
                id=row.budget,
                at=row.exhausts_at or row.resets_at,
                pressing=row.state == "exhausted",
            )
            for row in rows
        ),
        total=len(rows),
    )


def tools_of(catalogue: Catalogue) -> HandoverSection:
    """Return tools whose definitions wait for a person."""
    pins = [pin for pin in waiting_pins(catalogue) if not pin.is_rejected]
    return HandoverSection(
        part="tools",
        title="Quarantined tools",
        summary=f"{count(len(pins), 'definition')} wait for a person.",
        items=tuple(
            HandoverItem(
                text=f"{plain(pin.upstream)}/{plain(pin.tool)} is {pin.state}",
                kind="tool",
                id=f"{pin.upstream}/{pin.tool}",
                at=pin.since,
            )
            for pin in pins[:MOST_ITEMS]
        ),
        total=len(pins),
    )


def deliveries_of(tx: Transaction) -> HandoverSection:
    """Return callbacks and notices that were given up, or may not have arrived."""
    rows = lost(tx)
    total = sum(row.many for row in rows)
    return HandoverSection(
        part="deliveries",
        title="Undelivered",
        summary=f"{count(total, 'callback or notice')} given up or unknown.".replace(
            "callback or notices", "callbacks or notices"
        ),
        items=tuple(
            HandoverItem(
                text=f"{row.many:,} to {row.kind} {plain(row.target)} "
                + ("given up" if row.state == "dead" else "may not have arrived"),
                kind="delivery",
                id=row.target,
                at=row.since,
                pressing=True,
            )
            for row in rows[:MOST_ITEMS]
        ),
        total=total,
    )


def coverage_of(scope: Scope, now: int) -> HandoverSection:
    """Return when nobody is on call in the coming week."""
    try:
        found = gaps(scope.watch, now, now + GAP_DAYS * _DAY)
    except TooLarge:
        found = []
    kind = "role" if scope.role else "schedule"
    return HandoverSection(
        part="coverage",
        title="Coverage gaps ahead",
        summary=f"{count(len(found), 'gap')} within {GAP_DAYS} days.",
        items=tuple(
            HandoverItem(
                text=f"nobody from {utc_text(start)} to {utc_text(end)} "
                f"({duration_text(end - start)})",
                kind="role" if kind == "role" else "schedule",
                id=scope.role or scope.schedule or "",
                at=start,
                pressing=start - now < _DAY,
            )
            for start, end in found[:MOST_ITEMS]
        ),
        total=len(found),
    )


def watch_out(tx: Transaction, scope: Scope) -> HandoverSection:
    """Return what rules find remarkable: refusals, repetitions, ends that nobody knows."""
    items = [*remarkable_requests(tx, scope), *_unknown_ends(tx, scope)]
    return HandoverSection(
        part="watch-out",
        title="Watch out for",
        summary=f"{count(len(items), 'thing')} that rules find remarkable.",
        items=tuple(items),
        total=len(items),
    )


def _unknown_ends(tx: Transaction, scope: Scope) -> list[HandoverItem]:
    row = decisions.c
    query = (
        select(row.agent, row.name, func.count())
        .where(
            row.decision >= ids.first_at("dec", scope.since),
            row.outcome == "unknown",
            row.verdict == "permit",
            *([] if scope.agents is None else [row.agent.in_(scope.agents)]),
        )
        .group_by(row.agent, row.name)
        .order_by(func.count().desc(), row.agent)
        .limit(5)
    )
    return [
        HandoverItem(
            text=f"nobody knows how {count(number, 'call')} of {plain(name)} by {plain(agent)} "
            "ended",
            kind="agent",
            id=agent,
            pressing=True,
        )
        for agent, name, number in tx.connection.execute(query)
    ]


def _lock_item(row: Row) -> HandoverItem:
    name = "" if row.target_kind == "everything" else f" {plain(row.target_name)}"
    by, lifter = (plain(who or "").replace("person/", "") for who in (row.by, row.lifted_by))
    state = (
        f"in force since {utc_text(row.created_at)}"
        if row.lifted_at is None
        else f"lifted {utc_text(row.lifted_at)} by {lifter}"
    )
    return HandoverItem(
        text=f"{row.mode} on {row.target_kind}{name} by {by}, {state}: {plain(row.reason)}",
        kind="lock",
        id=row.lock,
        at=row.created_at,
        pressing=row.lifted_at is None,
    )
