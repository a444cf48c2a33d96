"""A held call that its approver narrowed: what the plane performs runs so, once, and says so."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from tests.gateways.ground import Edge, text_of
from tests.rig.upstream import Upstream
from watchkeeper.approvals.service import cast_vote
from watchkeeper.decide.contents import examine
from watchkeeper.decide.narrowing import narrow_request
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.requests import Edit

ROLES = frozenset({"finance-ops", "finance-lead"})
_amounts = itertools.count(50_103, 7)


def a_refund() -> dict[str, Any]:
    """Return arguments that need a person, and that no other test uses."""
    return {"charge_id": "ch_1", "amount_usd": next(_amounts) / 100}


async def narrow(edge: Edge, vote: bool = True, **change: Any) -> str:
    """Narrow the oldest pending request as grace, who then approves it; return what stands."""
    request, digest = (await edge.pending())[0]

    def unit(tx: Transaction) -> str:
        found = tx.connection.exec_driver_sql(
            f"select canonical from requests where request = '{request}'"
        )
        import json

        arguments = {**json.loads(found.scalar_one()), **change}
        row = narrow_request(
            tx,
            edge.decider.catalogue.now,
            request,
            Edit(digest=digest, arguments=arguments, reason="not all of it"),
            examine(arguments),
            person="person/grace",
            roles=ROLES,
        )
        if vote:
            cast_vote(
                tx, row.request, person="person/grace", roles=ROLES, verdict="approve",
                digest=row.digest,
            )  # fmt: skip
        return str(row.request)

    return await edge.store.write(unit)


async def test_the_narrowed_call_runs_once_and_the_agent_is_told(
    edge: Edge, books: Upstream
) -> None:
    token, sent = await edge.open_run(), a_refund()
    async with edge.mcp(token) as client:
        calling = asyncio.create_task(client.call_tool("books.create_refund", sent))
        stands = await narrow(edge, amount_usd=2.5)
        first = await calling
        again = await client.call_tool("books.create_refund", sent)
    for result in (first, again):
        assert not result.is_error
        told = text_of(result)
        assert "NARROWED: grace approved this call with other arguments" in told
        assert f"amount_usd 2.5, not {sent['amount_usd']}" in told
        assert "not all of it" in told
        narrowed = (result.meta or {})["watchkeeper/narrowed"]
        assert narrowed["request"] == stands
        assert narrowed["arguments"] == {"charge_id": "ch_1", "amount_usd": 2.5}
    ran = [
        one
        for one in books.executions("create_refund")
        if one["amount_usd"] in (2.5, sent["amount_usd"])
    ]
    assert [one["amount_usd"] for one in ran] == [2.5]
