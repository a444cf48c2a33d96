"""A held call that its approver narrowed: what the plane performs runs so, once, and says so."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from sqlalchemy import update

from tests.gateways.ground import Edge, text_of
from tests.gateways.test_tasks import call as call_as_task
from tests.gateways.test_tasks import get
from tests.rig.deadline import eventually_async
from tests.rig.upstream import Upstream
from tests.rig.world import TOOLS, agent_document
from watchkeeper.approvals.rows import find
from watchkeeper.approvals.service import cast_vote
from watchkeeper.approvals.tables import requests
from watchkeeper.core.digest import parse
from watchkeeper.core.errors import Conflict, Forbidden, Invalid, WatchkeeperError
from watchkeeper.decide.contents import LARGEST_AT_ONCE, examine
from watchkeeper.decide.held.narrowing import narrow_request
from watchkeeper.decide.people.directory import PeopleInForce
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import Ask
from watchkeeper.wire.requests import Edit

ROLES = frozenset({"finance-ops", "finance-lead"})
_amounts = itertools.count(50_103, 7)


def a_refund() -> dict[str, Any]:
    """Return arguments that need a person, and that no other test uses."""
    return {"charge_id": "ch_1", "amount_usd": next(_amounts) / 100}


async def narrow(
    edge: Edge, *, vote: bool = True, person: str = "person/grace", **change: Any
) -> str:
    """Narrow the oldest pending request as grace, who then approves it; return what stands."""
    request, digest = (await edge.pending())[0]

    def unit(tx: Transaction) -> str:
        arguments = {**parse(find(tx, request).canonical), **change}
        row = narrow_request(
            tx,
            edge.decider.catalogue.now,
            request,
            Edit(digest=digest, arguments=arguments, reason="not all of it"),
            examine(arguments),
            person=person,
            roles=ROLES,
            people=PeopleInForce(tx, edge.decider.catalogue.now),
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
    assert ran(books, 2.5, sent["amount_usd"]) == [2.5]


def ran(books: Upstream, *amounts: float) -> list[float]:
    """Return which refunds of some amounts ran, in order."""
    made = (one["amount_usd"] for one in books.executions("create_refund"))
    return [amount for amount in made if amount in amounts]


async def test_a_task_follows_what_stands_for_its_call(edge: Edge, books: Upstream) -> None:
    token, sent = await edge.open_run(), a_refund()
    task = (await call_as_task(edge, token, sent))["taskId"]
    stands = await narrow(edge, vote=False, amount_usd=3.25)
    working = await get(edge, token, task)
    assert working["status"] == "working"
    assert [request for request, _ in await edge.pending()] == [stands]
    assert await edge.vote() == stands

    async def done() -> dict[str, Any] | None:
        found = await get(edge, token, task)
        return found if found["status"] == "completed" else None

    found = await eventually_async(done, "the narrowed call has run")
    assert "amount_usd 3.25, not" in str(found["result"]["content"][0])
    assert found["result"]["_meta"]["watchkeeper/narrowed"]["by"] == "person/grace"
    assert ran(books, 3.25, sent["amount_usd"]) == [3.25]


async def test_a_narrowed_call_that_is_rejected_refuses_the_agents_own(
    edge: Edge, books: Upstream
) -> None:
    token, sent = await edge.open_run(), a_refund()
    async with edge.mcp(token) as client:
        calling = asyncio.create_task(client.call_tool("books.create_refund", sent))
        await narrow(edge, vote=False, amount_usd=3.5)
        stands = await edge.vote("reject", "nothing of it")
        result = await calling
    assert result.is_error
    assert f"DENIED by rule approval/{stands}" in text_of(result)
    assert ran(books, 3.5, sent["amount_usd"]) == []


async def test_the_same_gates_judge_what_was_narrowed(edge: Edge) -> None:
    tool = TOOLS.split("---")[1].replace(
        "  amount_usd: amount_usd\n",
        "  amount_usd: amount_usd\n  edits: {reason: words, charge_id: words}\n",
    )
    await edge.apply(tool)
    token = await edge.open_run()
    sent = {**a_refund(), "reason": "paid twice"}
    held = await edge.decider.decide(token, Ask(name="books.create_refund", arguments=sent))
    assert held.verdict == "hold"
    long = {"reason": "x" * LARGEST_AT_ONCE}
    refused: tuple[tuple[type[WatchkeeperError], str, dict[str, Any]], ...] = (
        (Forbidden, "tool/books.create_refund/schema", {"charge_id": "no charge"}),
        (Forbidden, "tool/books.create_refund/never", {"reason": "as a gift card"}),
        (Invalid, "data/secret", {"reason": "key AKIAIOSFODNN7EXAMPLE"}),
        (Invalid, "approval/narrowing", {"amount_usd": 999}),
        (Conflict, "approval/narrowing", long),
        (Forbidden, "approval/separation_of_duties", {"person": "person/ada", "reason": "x"}),
    )
    await edge.apply("person: {name: ada, aliases: [customer/ada]}")
    for kind, rule, change in refused:
        with pytest.raises(kind) as no:
            await narrow(edge, **change)
        assert no.value.rule == rule, change
    assert [request for request, _ in await edge.pending()] == [held.request]
    stands = await narrow(edge, reason="paid once too often")
    assert stands != held.request


async def test_what_changed_since_it_was_asked_is_not_narrowed(edge: Edge) -> None:
    token = await edge.open_run()
    await edge.decider.decide(token, Ask(name="books.create_refund", arguments=a_refund()))
    await edge.apply(agent_document(hold_seconds=7))
    with pytest.raises(Conflict) as no:
        await narrow(edge, amount_usd=1)
    assert no.value.code == "cannot_narrow"


async def test_an_approval_that_is_good_no_longer_starts_over(edge: Edge, books: Upstream) -> None:
    token, sent = await edge.open_run(), a_refund()
    asked = Ask(name="books.create_refund", arguments=sent)
    await edge.decider.decide(token, asked, performer="plane")
    stands = await narrow(edge, amount_usd=3.75)
    await edge.store.write(lambda tx: _spoil(tx, stands))
    again = await edge.decider.decide(token, asked, performer="plane")
    assert (again.verdict, again.narrowed) == ("hold", None)
    assert again.request != stands
    assert ran(books, 3.75, sent["amount_usd"]) == []


async def test_what_was_narrowed_waits_for_room_in_a_budget(edge: Edge, books: Upstream) -> None:
    token, sent = await edge.open_run(), a_refund()
    asked = Ask(name="books.create_refund", arguments=sent)
    await edge.decider.decide(token, asked, performer="plane")
    stands = await narrow(edge, amount_usd=2.5)
    await edge.apply(
        "budget: {name: value, scope: all, period: day, limits: {value_usd: 1}, "
        "responses: [{do: ask, role: finance-ops}]}"
    )
    held = await edge.decider.decide(token, asked, performer="plane")
    assert (held.verdict, held.rule) == ("hold", "budget/all/day/value")
    assert held.request not in (None, stands)
    again = await edge.decider.decide(token, asked, performer="plane")
    assert again.request == held.request
    await edge.vote()
    permitted = await edge.decider.decide(token, asked, performer="plane")
    assert (permitted.verdict, permitted.request) == ("permit", stands)
    assert permitted.narrowed is not None


def _spoil(tx: Transaction, request: str) -> None:
    """Make who approved a request one who may not."""
    tx.silent("a person turned out to be whom it was for")
    tx.connection.execute(
        update(requests).where(requests.c.request == request).values(excluded='["grace"]')
    )


async def test_of_a_vote_and_a_narrowing_at_once_one_counts(edge: Edge, books: Upstream) -> None:
    token, sent = await edge.open_run(), a_refund()
    asked = Ask(name="books.create_refund", arguments=sent)
    await edge.decider.decide(token, asked)
    done = await asyncio.gather(narrow(edge, amount_usd=4.25), edge.vote(), return_exceptions=True)
    failed = [one for one in done if isinstance(one, Exception)]
    assert len(failed) == 1
    assert isinstance(failed[0], Conflict)
