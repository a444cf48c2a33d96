from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import pytest

from tests.approvals.ground import LEAD, OPS, open_one, pass_time, read, redeem, vote, wanted
from watchkeeper.approvals import service
from watchkeeper.approvals.model import Counts
from watchkeeper.approvals.reading import count_pending, list_requests
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Invalid
from watchkeeper.oncall.model import Level
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.requests import RequestRow


async def pages(store: Store, **options: Any) -> list[RequestRow]:
    """All rows, page by page; every page but the last is full."""
    rows: list[RequestRow] = []
    after = options.pop("after", None)
    options = {"person": "ada", "roles": OPS, "limit": 3, **options}
    while True:
        page = await store.read(partial(list_requests, after=after, **options))
        rows += page.rows
        assert page.next is None or len(page.rows) == options["limit"]
        if page.next is None:
            assert page.total == len(rows)
            return rows
        after = page.next


async def test_pending_come_by_deadline_page_by_page(store: Store) -> None:
    slas = [500, 100, 300, 300, 300, 200, 900]
    ids = [await open_one(store, run=f"run_{n}", sla_seconds=s) for n, s in enumerate(slas)]
    rows = await pages(store)
    expected = sorted(zip(slas, ids, strict=True))
    assert [row.request for row in rows] == [request for _, request in expected]
    await vote(store, ids[1])
    await vote(store, ids[6], verdict="reject")
    assert [row.request for row in await pages(store)] == [
        request for _, request in expected if request not in (ids[1], ids[6])
    ]


@pytest.mark.parametrize("together", ["tool", "agent", "object"])
async def test_what_stands_together_comes_by_deadline_within(store: Store, together: str) -> None:
    field = {"tool": "tool", "agent": "agent", "object": "object_id"}[together]
    names = ["b", "a", "c", "a", "b", "a", "c"]
    for n, name in enumerate(names):
        await open_one(store, run=f"run_{n}", sla_seconds=100 + 7 * n % 5, **{field: name})
    first = (await store.read(lambda tx: list_requests(tx, person="ada", roles=OPS))).rows[0]
    rows = await pages(store, together=together)
    assert len({row.request for row in rows}) == len(names)
    keys = [
        (getattr(row, field) if together != "object" else str(row.object), row.decide_by)
        for row in rows
    ]
    assert keys == sorted(keys)
    assert first in rows
    odd = ('["\\ud800",1,"x"]', f'["a",{10**30},"x"]', f'["a",{2**63},"x"]', "5", "[" * 9000)
    for after in ("nonsense", "1:req_0", '["a","1",2]', "[]", *odd):
        with pytest.raises(Invalid):
            await pages(store, together=together, after=after)


async def test_decided_come_newest_first_and_all_by_their_making(
    store: Store, clock: RehearsalClock
) -> None:
    ids = []
    for n in range(7):
        ids.append(await open_one(store, run=f"run_{n}", sla_seconds=9000))
        clock.advance(1)
    for n in (3, 0, 5, 1):
        clock.advance(1)
        await vote(store, ids[n])
    rows = await pages(store, state="decided", limit=2)
    assert [row.request for row in rows] == [ids[n] for n in (1, 5, 0, 3)]
    assert [row.request for row in await pages(store, state="all")] == ids[::-1]


async def test_filters_by_role_agent_and_words(store: Store, clock: RehearsalClock) -> None:
    first = await open_one(store, agent="bot-a", asks="Refund 100% of ch_1", sla_seconds=9000)
    clock.advance(60)
    await pass_time(store)
    other = await open_one(store, run="run_2", agent="bot-b", asks="send mail", object_id="ACME_1")

    async def found(**options: Any) -> list[str]:
        return [row.request for row in await pages(store, **options)]

    assert await found(role="lead") == [first]
    assert await found(role="ops") == [other]
    assert await found(agent="bot-b") == [other]
    assert await found(text="refund 100%") == [first]
    assert await found(text="ACME_1") == [other]
    assert await found(text="acme%1") == []
    assert await found(text="STRIPE mail") == [other]
    assert await found(text="' OR 1=1 --") == []
    for wrong in (
        {"after": "nonsense"}, {"after": f"{10**25}:x"}, {"after": f"{'9' * 5000}:x"},
        {"after": "²:x"}, {"text": "a " * 2000}, {"text": "a" * 60_000},
    ):  # fmt: skip
        with pytest.raises(Invalid):
            await pages(store, **wrong)


async def test_row_says_whether_it_is_mine_and_if_not_why(store: Store) -> None:
    request = await open_one(store, quorum=2)

    async def row(person: str, roles: frozenset[str]) -> tuple[bool, str | None]:
        (only,) = await pages(store, person=person, roles=roles)
        return only.mine, only.why_not

    assert await row("ada", OPS) == (True, None)
    assert (await row("carol", OPS))[1] == "carol asked for this or it is done on their behalf"
    assert (await row("ada", frozenset()))[1] == "this asks ops, and ada does not hold it now"
    assert "lead is asked at 20" in str((await row("ada", LEAD))[1])
    await vote(store, request)
    assert await row("ada", OPS) == (False, "ada has voted; one vote a person")
    assert (await read(store, request, "grace")).mine


async def test_count_of_waiting_is_the_count_of_rows_that_are_mine(
    store: Store, clock: RehearsalClock
) -> None:
    levels = (Level("ops"), Level("op", 50), Level("lead", 60))
    for n, (quorum, on_behalf) in enumerate(itertools.product((1, 2), (None, "person/carol"))):
        early = await open_one(
            store, run=f"a{n}", quorum=quorum, on_behalf_of=on_behalf, levels=levels
        )
        if quorum == 2:
            await vote(store, early)
    clock.advance(60)
    await pass_time(store)
    await open_one(store, run="late")
    expired = await open_one(store, run="short", sla_seconds=1)
    clock.advance(1)
    for person, roles in itertools.product(
        ("ada", "carol"), (OPS, LEAD, OPS | LEAD, frozenset({"*"}), frozenset[str]())
    ):
        rows = await pages(store, person=person, roles=roles)
        assert expired in [row.request for row in rows]
        counts = await store.read(partial(count_pending, person=person, roles=roles))
        assert counts == Counts(6, sum(row.mine for row in rows), 4)


async def test_detail_has_all_that_a_person_needs(store: Store, clock: RehearsalClock) -> None:
    for n, verdict in enumerate(["approve", "approve", "reject"]):
        other = await open_one(store, run=f"old_{n}")
        await vote(store, other, verdict=verdict)
    await redeem(store, wanted(run="old_0"))
    first = await store.read(
        lambda tx: service.find_standing(tx, "old_0", wanted(run="old_0").digest)
    )
    assert first is not None
    await store.write(lambda tx: service.record_outcome(tx, first.request, "failed"))
    request = await open_one(store, explanation="please")
    clock.advance(60)
    await pass_time(store)
    row = await read(store, request)
    assert row.history == (
        "3 other requests for stripe.create_refund by refund-assistant in the last 30 days: "
        "2 approved, 1 rejected; 1 of the approved did not succeed."
    )
    assert row.arguments == {"charge_id": "ch_81", "amount_usd": 4000}
    assert row.explanation == "please"
    assert row.escalation[0] == "1. ops: was asked and may still decide"
    assert row.escalation[1].startswith("2. lead: asked since 20")
    assert row.escalation[2].endswith("Z: denied if nobody decides")
    assert row.timeline[0].text == ("refund-assistant asks ops: refund charge ch_81, $4,000.00")
    assert [entry.type for entry in row.timeline] == [
        "request.created",
        "request.reminded",
        "request.escalated",
    ]
    assert row.timeline[2].text == "now asks lead (level 2 of 2)"
    assert row.votes == ()
    await vote(store, request, reason="known customer")
    row = await read(store, request)
    (cast,) = row.votes
    assert (cast.person, cast.role, cast.reason) == ("ada", "ops", "known customer")
    assert "if nobody decides" not in " ".join(row.escalation)


async def test_what_somebody_said_of_it_is_told_whoever_agrees_last(store: Store) -> None:
    request = await open_one(store, quorum=2)
    await vote(store, request, reason="known customer")
    await vote(store, request, person="bob")
    assert (await read(store, request)).decided_why == "known customer"
    refused = await open_one(store, run="run_2", quorum=2)
    await vote(store, refused, reason="known customer")
    await vote(store, refused, person="bob", verdict="reject")
    assert (await read(store, refused)).decided_why is None


async def test_lists_read_their_page_through_an_index(store: Store) -> None:
    """However many requests there were, the next page of pending ones costs the same."""

    def plan(tx: Transaction) -> str:
        if tx.driver is None:
            return "ix_requests_pending"
        seen: list[str] = []
        tx.driver.set_trace_callback(seen.append)
        list_requests(tx, person="ada", roles=OPS, after="1:req_0", limit=10)
        tx.driver.set_trace_callback(None)
        query = next(text for text in seen if "ORDER BY" in text)
        return str([row[3] for row in tx.driver.execute("EXPLAIN QUERY PLAN " + query)])

    plans = await store.read(plan)
    assert "ix_requests_pending" in plans
    assert "TEMP B-TREE" not in plans
