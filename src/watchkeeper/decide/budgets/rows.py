"""Budgets as screens show them, with what their documents say and what waits for a person."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import select

from watchkeeper.approvals.topping import named, pending_top_ups
from watchkeeper.breakers.service import read_all
from watchkeeper.budgets import reading
from watchkeeper.budgets.changes import changed_caps
from watchkeeper.budgets.model import Cap
from watchkeeper.budgets.responses import Response, is_reached, reached, when_full
from watchkeeper.budgets.rules import read_budget_id
from watchkeeper.core.errors import NotFound
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.tables import decisions
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.budgets import BudgetDetail, BudgetRow, BudgetState, ResponseShown, Spent
from watchkeeper.wire.pages import Page

MOST_SPENT = 10
"""How many of the newest calls are shown that a budget paid for, and how many of the largest."""


def list_rows(
    tx: Transaction, catalogue: Catalogue, standing: Sequence[Cap], **options: Any
) -> Page[BudgetRow]:
    """Return a page of budgets; `options` and what is raised are `reading.list_budgets`' own."""
    changed = changed_caps(tx)
    page = reading.list_budgets(tx, standing=standing, changed=changed, **options)
    return page.model_copy(update={"rows": tuple(_enriched(tx, catalogue, page.rows))})


def read_row(
    tx: Transaction, catalogue: Catalogue, standing: Sequence[Cap], budget: str
) -> BudgetDetail:
    """Return a budget with who spent it, and on which calls; raise `NotFound`."""
    caps = (*caps_named(catalogue, budget), *standing)
    found = reading.read_budget(tx, budget, standing=caps, changed=changed_caps(tx))
    (row,) = _enriched(tx, catalogue, [found])
    spent = _spent(tx, reading.newest_holds(tx, found))
    return BudgetDetail.model_validate({**dict(row), "spent": spent})


def caps_named(catalogue: Catalogue, budget: str) -> tuple[Cap, ...]:
    """Return the documents' caps on a budget, those for each of its kind among them.

    Raises `NotFound` for what is no budget's id.
    """
    scope, period, measure = read_budget_id(budget)
    return tuple(
        cap
        for cap in catalogue.caps.of_scope(scope)
        if cap.period == period and cap.measure == measure
    )


def _enriched(
    tx: Transaction, catalogue: Catalogue, rows: Sequence[BudgetRow]
) -> Iterable[BudgetRow]:
    waiting = pending_top_ups(tx, [named(row.budget, row.period_key) for row in rows])
    tripped = {one.agent: one.breaker for one in read_all(tx).values() if one.state != "closed"}
    for row in rows:
        try:
            caps = caps_named(catalogue, row.budget)
        except NotFound:
            caps = ()
        documents = [catalogue.responding[cap.document] for cap in caps if cap.document]
        responses = {one for known in documents for one in known.responses}
        levels = sorted({level for known in documents for level in known.warn_at})
        shown = sorted({*responses, when_full(responses)}, key=lambda one: (one.at, one.do))
        yield row.model_copy(
            update={
                "mode": "soft" if caps and all(cap.soft for cap in caps) else "strict",
                "warn_at": tuple(levels),
                "responses": tuple(
                    ResponseShown(at=one.at, do=one.do, says=one.words) for one in shown
                ),
                "state": _state(row, responses, levels),
                "request": waiting.get(named(row.budget, row.period_key)),
                "breaker": _breaker(catalogue, row.scope, tripped),
            }
        )


def _state(row: BudgetRow, responses: set[Response], levels: Sequence[int]) -> BudgetState:
    if row.state == "exhausted":
        return "exhausted"
    used, limit = row.posted + row.held, row.cap + row.topped_up
    if reached(responses, "throttle", used=used, limit=limit):
        return "throttled"
    if reached(responses, "degrade", used=used, limit=limit):
        return "degraded"
    if levels and is_reached(levels[0], used=used, limit=limit):
        return "warning"
    return row.state if not levels else "ok"


def _breaker(catalogue: Catalogue, scope: str, tripped: dict[str, str]) -> str | None:
    """Return an open breaker of an agent that spends in a scope, the first by name."""
    kind, _, name = scope.partition("/")
    for agent in sorted(tripped):
        governed = catalogue.agents.get(agent)
        contract = governed.contract if governed else None
        if (
            kind == "all"
            or (kind == "agent" and agent == name)
            or (kind == "version" and agent == name.partition("@")[0])
            or (kind == "team" and contract is not None and contract.owner == name)
            or (kind == "project" and contract is not None and contract.project == name)
        ):
            return tripped[agent]
    return None


def _spent(tx: Transaction, holds: Sequence[Row]) -> tuple[Spent, ...]:
    """Return the newest and the largest of some holds, newest first, with what they were for."""
    largest = sorted(holds, key=_amount, reverse=True)[:MOST_SPENT]
    wanted = {row.decision: row for row in (*holds[:MOST_SPENT], *largest)}
    if not wanted:
        return ()
    query = select(decisions.c.decision, decisions.c.kind, decisions.c.name).where(
        decisions.c.decision.in_(wanted)
    )
    about = {row.decision: row for row in tx.connection.execute(query)}
    return tuple(
        Spent(
            decision=row.decision,
            at=row.created_at,
            agent=row.agent,
            run=row.run,
            kind=about[row.decision].kind,
            name=about[row.decision].name,
            amount=_amount(row),
            state=row.state,
        )
        for _, row in sorted(wanted.items(), reverse=True)
        if row.decision in about
    )


def _amount(row: Row) -> int:
    return int(row.reserved if row.state == "live" else row.posted)
