"""Caps over one run, its agent and its team, and shorthands to draw on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from tests.rig.sweeping import sweep
from watchkeeper.budgets import service
from watchkeeper.budgets.model import Cap, Held, Refused, Settlement
from watchkeeper.budgets.reading import read_budget
from watchkeeper.budgets.tables import holds
from watchkeeper.budgets.timers import HANDLERS
from watchkeeper.store.journal import events
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.budgets import BudgetDetail

HOLD_SECONDS = 120


def cap(
    scope: str, period: Any, measure: Any, amount: int, *, zone: str = "UTC", soft: bool = False
) -> Cap:
    return Cap(scope, period, measure, amount, zone, soft)


CAPS = (
    cap("run/run_1", "run", "spend", 500),
    cap("run/run_1", "run", "tool_calls", 5),
    cap("agent/bot", "hour", "spend", 900),
    cap("team/ops", "day", "spend", 1200),
    cap("team/ops", "day", "tokens", 4000),
)


async def reserve(
    store: Store,
    decision: str,
    amounts: Mapping[Any, int] | None = None,
    *,
    caps: Sequence[Cap] = CAPS,
    agent: str = "bot",
    run: str = "run_1",
) -> Held | Refused:
    def unit(tx: Transaction) -> Held | Refused:
        tx.record("decision.permitted", actor=agent, subject=decision, body={})
        return service.reserve(
            tx,
            decision=decision,
            agent=agent,
            run=run,
            caps=caps,
            amounts={"spend": 100} if amounts is None else amounts,
            expires_at=tx.now + HOLD_SECONDS * 1_000_000,
            now=tx.now,
        )

    return await store.write(unit)


async def settle(
    store: Store, decision: str, used: Mapping[Any, int], status: Any = "succeeded"
) -> Settlement | None:
    def unit(tx: Transaction) -> Settlement | None:
        tx.record("outcome.recorded", actor="bot", subject=decision, body={})
        return service.settle(tx, decision, used, status)

    return await store.write(unit)


async def void(store: Store, decision: str) -> Settlement | None:
    def unit(tx: Transaction) -> Settlement | None:
        tx.record("decision.dropped", actor="bot", subject=decision, body={})
        return service.void(tx, decision)

    return await store.write(unit)


async def budget(store: Store, name: str, caps: Sequence[Cap] = CAPS) -> BudgetDetail:
    return await store.read(lambda tx: read_budget(tx, name, standing=caps))


async def figures(store: Store, name: str, caps: Sequence[Cap] = CAPS) -> tuple[int, int]:
    """What a budget has posted and held."""
    row = await budget(store, name, caps)
    return row.posted, row.held


async def pass_time(store: Store) -> int:
    return await sweep(store, HANDLERS)


async def hold_states(store: Store) -> dict[str, str]:
    query = select(holds.c.decision, holds.c.state)
    return await store.read(lambda tx: dict(map(tuple, tx.connection.execute(query))))


async def types(store: Store) -> list[str]:
    query = select(events.c.type).order_by(events.c.sequence)
    found = await store.read(lambda tx: list(tx.connection.execute(query).scalars()))
    return [kind for kind in found if kind.startswith(("budget", "hold"))]
