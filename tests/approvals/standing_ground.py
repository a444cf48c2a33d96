"""Shorthands to propose, approve and use standing approvals on a store."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from tests.approvals.ground import OPS, wanted
from watchkeeper.approvals import service as approvals
from watchkeeper.approvals.rows import find
from watchkeeper.approvals.standing import service as standing
from watchkeeper.approvals.standing.model import Terms
from watchkeeper.approvals.standing.proposing import add_proposal
from watchkeeper.approvals.standing.tables import standing_approvals
from watchkeeper.core.digest import canonical
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

AGENT, TOOL = "refund-assistant", "stripe.create_refund"
CENT = 10_000


def terms(**changes: Any) -> Terms:
    """Three refunds of one charge, $10 each and $20 in all, within an hour."""
    values: dict[str, Any] = {
        "agent": AGENT,
        "agent_version": 3,
        "contract": "sha256:contract",
        "tool": TOOL,
        "tool_digest": "sha256:tool",
        "definition": None,
        "pins": {"charge_id": "ch_1"},
        "uses": 3,
        "seconds": 3600,
        "each_micros": 1000 * CENT,
        "total_micros": 2000 * CENT,
        "reason": "a known customer",
        "proposed_by": "person/paul",
    }
    return Terms(**{**values, **changes})


def propose_in(tx: Transaction, asked: Terms, *, quorum: int = 1, sla_seconds: int = 200) -> str:
    """Open the request for a standing approval and return the latter's id."""
    name = tx.new_id("std")
    request = approvals.open_request(
        tx,
        wanted(
            kind="standing",
            standing=name,
            proposed_by=asked.proposed_by,
            decision="",
            run=name,
            digest=asked.digest,
            canonical=canonical(asked.shown()).decode(),
            arguments=asked.shown(),
            on_behalf_of=None,
            excluded=(asked.proposed_by,),
            groups=(("ops", quorum),),
            sla_seconds=sla_seconds,
        ),
    )
    add_proposal(tx, name, request, asked, risk="high", groups=(("ops", quorum),))
    return name


async def propose(store: Store, **changes: Any) -> str:
    asked = terms(**changes)
    return await store.write(lambda tx: propose_in(tx, asked))


async def cast(
    store: Store, name: str, person: str = "person/ada", verdict: Any = "approve"
) -> str:
    """Vote on the request for a standing approval."""

    def unit(tx: Transaction) -> str:
        row = find(tx, standing.find_standing_approval(tx, name).request)
        return approvals.cast_vote(
            tx, row.request, person=person, roles=OPS, verdict=verdict, digest=row.digest
        )

    return await store.write(unit)


async def stands(store: Store, **changes: Any) -> str:
    """One that was proposed and approved."""
    name = await propose(store, **changes)
    await cast(store, name)
    return name


async def use(store: Store, name: str, amount: int = 100 * CENT) -> bool:
    def unit(tx: Transaction) -> bool:
        tx.silent("the decision that it permits is not made here")
        return standing.use(tx, name, amount)

    return await store.write(unit)


async def row_of(store: Store, name: str) -> Any:
    return await store.read(lambda tx: standing.find_standing_approval(tx, name))


async def all_rows(store: Store) -> list[Any]:
    query = select(standing_approvals).order_by(standing_approvals.c.standing)
    return await store.read(lambda tx: list(tx.connection.execute(query)))
