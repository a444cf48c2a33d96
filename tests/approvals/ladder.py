"""A ladder of three levels, who is there to be asked, and shorthands to climb it."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import select

from tests.approvals.ground import OPS, wanted
from tests.rig.sweeping import sweep
from watchkeeper.approvals import service
from watchkeeper.approvals.tables import requests
from watchkeeper.approvals.timers import handlers
from watchkeeper.oncall.model import Holders, Level
from watchkeeper.store.journal import events
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

LADDER: dict[str, Any] = {
    "levels": (Level("ops"), Level("lead", 60, "pager"), Level("head", 120)),
    "remind_every_seconds": None,
    "sla_seconds": 1000,
    "skip_if_empty": True,
    "acknowledge_seconds": 100,
}


class Watch:
    """Coverage that the test writes down: who holds which role now."""

    def __init__(self, **held: tuple[str, ...]) -> None:
        self.held = held
        self.change: int | None = None

    def holders(self, tx: Transaction, role: str, at: int) -> Holders:
        return Holders(self.held.get(role, ()))

    def next_change(self, tx: Transaction, at: int) -> int | None:
        return self.change


FULL = {"ops": ("ada",), "lead": ("bob",), "head": ("eve",)}


async def opened(store: Store, watch: Watch, **changes: Any) -> str:
    new = wanted(**{**LADDER, **changes})
    return await store.write(lambda tx: service.open_request(tx, new, watch))


async def run(store: Store, watch: Watch) -> int:
    return await sweep(store, handlers(watch))


async def acknowledge(store: Store, request: str, person: str = "ada", **changes: Any) -> int:
    values: dict[str, Any] = {"roles": OPS, **changes}
    return await store.write(lambda tx: service.acknowledge(tx, request, person=person, **values))


async def told(store: Store, request: str, type_: str) -> list[dict[str, Any]]:
    """The bodies of a request's events of one type."""
    query = select(events.c.body).where(events.c.request == request, events.c.type == type_)
    rows = await store.read(
        lambda tx: list(tx.connection.execute(query.order_by(events.c.sequence)).scalars())
    )
    return [json.loads(body) for body in rows]


async def row(store: Store, request: str) -> Any:
    query = select(requests).where(requests.c.request == request)
    return await store.read(lambda tx: tx.connection.execute(query).one())
