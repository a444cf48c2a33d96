"""What the tests of approvals ask for, and shorthands to act on a store."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sqlalchemy import select

from tests.rig.sweeping import sweep
from watchkeeper.approvals import service
from watchkeeper.approvals.model import NewRequest
from watchkeeper.approvals.reading import read_request
from watchkeeper.approvals.rows import TIMER
from watchkeeper.approvals.tables import requests
from watchkeeper.approvals.timers import HANDLERS
from watchkeeper.core.digest import canonical, digest
from watchkeeper.oncall.model import EscalationPolicy, Level
from watchkeeper.store.journal import events
from watchkeeper.store.store import Store
from watchkeeper.store.timers import timers
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.requests import RequestDetail

OPS, LEAD = frozenset({"ops"}), frozenset({"lead"})
POLICY = {field.name for field in fields(EscalationPolicy)}


def wanted(**changes: Any) -> NewRequest:
    """A refund that `ops` is asked to approve within 200 s, `lead` after 60 s."""
    arguments = changes.pop("arguments", {"charge_id": "ch_81", "amount_usd": 4000})
    run = changes.get("run", "run_1")
    policy = {
        "levels": (Level("ops"), Level("lead", 60)),
        "remind_every_seconds": 45,
        **{name: changes.pop(name) for name in POLICY if name in changes},
    }
    values: dict[str, Any] = {
        "decision": "dec_1",
        "agent": "refund-assistant",
        "agent_version": 3,
        "run": run,
        "tool": "stripe.create_refund",
        "digest": digest("test", [run, arguments]),
        "canonical": canonical(arguments).decode(),
        "arguments": arguments,
        "asks": "refund charge ch_81, $4,000.00",
        "risk": "high",
        "escalation": EscalationPolicy(**policy),
        "sla_seconds": 200,
        "rule": "policy/refund-over-200",
        "rule_text": "refunds over $200 need approval",
        "blast_radius": "one customer",
        "rollback": "none",
        "epoch": 0,
        "on_behalf_of": "person/carol",
        "object_kind": "charge",
        "object_id": "ch_81",
    }
    return NewRequest(**{**values, **changes})


async def open_one(store: Store, **changes: Any) -> str:
    new = wanted(**changes)
    return await store.write(lambda tx: service.open_request(tx, new))


async def vote(
    store: Store, request: str, person: str = "ada", verdict: Any = "approve", **changes: Any
) -> str:
    row = await read(store, request)
    values: dict[str, Any] = {"roles": OPS, "digest": row.digest, **changes}
    return await store.write(
        lambda tx: service.cast_vote(tx, request, person=person, verdict=verdict, **values)
    )


async def redeem(store: Store, new: NewRequest, decision: str = "dec_2") -> bool:
    """Find the grant for an action and use it; whether both worked."""

    def unit(tx: Transaction) -> bool:
        tx.silent("there may be nothing to redeem")
        grant = service.find_grant(tx, new.run, new.digest, tx.now)
        return grant is not None and service.redeem(tx, grant, decision, tx.now)

    return await store.write(unit)


async def read(store: Store, request: str, person: str = "ada") -> RequestDetail:
    return await store.read(lambda tx: read_request(tx, request, person=person, roles=OPS))


async def pass_time(store: Store) -> int:
    return await sweep(store, HANDLERS)


async def types(store: Store, request: str) -> list[str]:
    query = select(events.c.type).where(events.c.request == request).order_by(events.c.sequence)
    return await store.read(lambda tx: list(tx.connection.execute(query).scalars()))


async def states(store: Store) -> dict[str, str]:
    query = select(requests.c.request, requests.c.state)
    return await store.read(lambda tx: {row[0]: row[1] for row in tx.connection.execute(query)})


async def timer_refs(store: Store) -> list[str]:
    query = select(timers.c.ref).where(timers.c.kind == TIMER)
    return await store.read(lambda tx: list(tx.connection.execute(query).scalars()))
