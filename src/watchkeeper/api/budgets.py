"""Budgets: caps with what is used, and top-ups."""

from __future__ import annotations

from watchkeeper.api.table import Call, Operation
from watchkeeper.budgets import checking
from watchkeeper.budgets import service as budgets
from watchkeeper.budgets.changes import changed_caps, with_changes
from watchkeeper.decide.budgets.rows import caps_named, list_rows, read_row
from watchkeeper.identity.runs import find_run
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.budgets import (
    BalanceCheck,
    BalanceDifference,
    BudgetDetail,
    BudgetRow,
    CapChange,
    TopUp,
)
from watchkeeper.wire.pages import Page

_PRESSING = 500


async def list_budgets(call: Call) -> Page[BudgetRow]:
    """List budgets of the current periods, by scope."""
    scope, needle, after = call.text("scope"), call.text("filter"), call.text("after")
    rooms, limit = call.rooms, call.limit()
    catalogue, caps, head = rooms.view.now, rooms.standing_caps(), rooms.store.head

    def query(tx: Transaction) -> Page[BudgetRow]:
        return list_rows(
            tx,
            catalogue,
            caps,
            scope=scope,
            text=needle,
            after=after,
            limit=limit,
            sequence=head,
        )

    return await rooms.store.scan(query)


async def pressing_budgets(call: Call) -> tuple[BudgetRow, ...]:
    """Return the budgets that refuse or soon will; not those of runs that have ended."""
    catalogue, caps = call.rooms.view.now, call.rooms.standing_caps()

    def query(tx: Transaction) -> tuple[BudgetRow, ...]:
        rows = list_rows(tx, catalogue, caps, near=True, limit=_PRESSING).rows
        return tuple(row for row in rows if not _has_ended(tx, row.scope))

    return await call.rooms.store.scan(query)


def _has_ended(tx: Transaction, scope: str) -> bool:
    kind, _, run = scope.partition("/")
    row = find_run(tx, run) if kind == "run" else None
    return row is not None and row.closed_at is not None


async def read_budget(call: Call) -> BudgetDetail:
    """Show a budget in its current period with who spent from it, and on which calls."""
    name, catalogue = call.path("budget"), call.rooms.view.now
    caps = call.rooms.standing_caps()
    return await call.rooms.store.scan(lambda tx: read_row(tx, catalogue, caps, name))


async def top_up(call: Call) -> BudgetRow:
    """Raise a cap for its current period only."""
    body: TopUp = call.body
    name, catalogue, caps = call.path("budget"), call.rooms.view.now, call.rooms.standing_caps()
    _check_may(call, name)

    def unit(tx: Transaction) -> BudgetRow:
        now = with_changes(caps_named(catalogue, name), changed_caps(tx), tx.now)
        budgets.top_up(
            tx, name, None, body.amount, reason=body.reason, actor=call.actor, standing=now
        )
        return read_row(tx, catalogue, caps, name)

    return await call.rooms.store.write(unit)


async def change_cap(call: Call) -> BudgetRow:
    """Put another cap in place of the documents', until a time or taken back."""
    body: CapChange = call.body
    name, rooms = call.path("budget"), call.rooms
    catalogue, caps = rooms.view.now, rooms.standing_caps()
    _check_may(call, name)

    def unit(tx: Transaction) -> BudgetRow:
        now = tuple(with_changes(caps_named(catalogue, name), changed_caps(tx), tx.now))
        rooms.capping.change_in(tx, name, body, caps=now, actor=call.actor)
        return read_row(tx, catalogue, caps, name)

    return await rooms.store.write(unit)


async def check_balances(call: Call) -> BalanceCheck:
    """Add every balance up from its holds."""
    found = await call.rooms.store.scan(checking.check_balances)
    return BalanceCheck(
        balances=found.balances,
        holds=found.holds,
        differences=tuple(
            BalanceDifference(
                budget=one.budget,
                period_key=one.account.period_key,
                part=one.part,
                kept=one.kept,
                summed=one.summed,
            )
            for one in found.differences
        ),
    )


def _check_may(call: Call, budget: str) -> None:
    """Raise `Forbidden` unless the caller may give more to whose budget it is."""
    scope, _, rest = budget.partition("/")
    about = rest.partition("/")[0]
    if scope == "agent":
        call.check_agent("top-up", about)
    else:
        call.check_team("top-up", about if scope == "team" else "")


OPERATIONS = (
    Operation(
        "GET",
        "/v1/budgets",
        "read",
        list_budgets,
        "List budgets of the current periods with what is used and held.",
        answers=Page[BudgetRow],
        query=("scope", "filter", "after", "limit"),
        tags=("budgets",),
    ),
    Operation(
        "GET",
        "/v1/budgets/{budget:path}",
        "read",
        read_budget,
        "Show a budget with who draws on it.",
        answers=BudgetDetail,
        tags=("budgets",),
    ),
    Operation(
        "GET",
        "/v1/balances/check",
        "read",
        check_balances,
        "Add every balance up from its holds, and say which differ.",
        answers=BalanceCheck,
        tags=("budgets",),
    ),
    Operation(
        "POST",
        "/v1/top-ups/{budget:path}",
        "top-up",
        top_up,
        "Raise a cap for its current period only.",
        answers=BudgetRow,
        takes=TopUp,
        by_team=True,
        tags=("budgets",),
    ),
    Operation(
        "POST",
        "/v1/caps/{budget:path}",
        "top-up",
        change_cap,
        "Put another cap in place of the documents', until a time or taken back.",
        answers=BudgetRow,
        takes=CapChange,
        by_team=True,
        tags=("budgets",),
    ),
)
