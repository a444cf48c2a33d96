"""Narrowing, taking back, breaking the glass, callers that leave: on both stores."""

from __future__ import annotations

from typing import Any

import pytest

from tests.approvals.ground import (
    OPS,
    open_one,
    pass_time,
    read,
    redeem,
    states,
    timer_refs,
    types,
    vote,
    wanted,
)
from watchkeeper.approvals import emergencies, service, superseding
from watchkeeper.approvals.attendance import caller_came, caller_left
from watchkeeper.approvals.comments import MOST, comment
from watchkeeper.approvals.reading import list_requests
from watchkeeper.approvals.rows import find
from watchkeeper.approvals.superseding import Lesser, link_new, read_narrowed, stand_in
from watchkeeper.approvals.taking_back import take_back
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.digest import digest
from watchkeeper.core.errors import Conflict, Forbidden
from watchkeeper.store.store import Store
from watchkeeper.wire.decisions import Narrowing
from watchkeeper.wire.requests import Deciding


async def lessen(store: Store, request: str, amount: int) -> str:
    """Put a smaller refund in a request's place, as ada."""
    before = (await read(store, request)).arguments
    arguments = {**before, "amount_usd": amount}
    lesser = Lesser(
        digest=digest("test", ["run_1", arguments]),
        arguments=arguments,
        asks=f"refund ${amount}",
        told=f"refund ${amount}",
        risk="high",
        amount_micros=amount * 1_000_000,
        object_kind=None,
        object_id=None,
        blast_radius="one customer",
        changes=[
            Narrowing(argument="amount_usd", before=before["amount_usd"], after=amount),
        ],
    )
    return await store.write(
        lambda tx: stand_in(tx, find(tx, request), lesser, person="person/ada", reason="less")
    )


async def alone(store: Store, request: str, person: str = "person/ada", **more: Any) -> None:
    row = await read(store, request)
    values = {"digest": row.digest, "reason": "fire", **more}
    await store.write(lambda tx: emergencies.break_glass(tx, request, person=person, **values))


async def judge(store: Store, request: str, person: str, **more: Any) -> None:
    values = {"roles": OPS, "verdict": "justified", "note": "so it was", **more}
    await store.write(lambda tx: emergencies.review(tx, request, person=person, **values))


async def test_what_stands_for_a_request_takes_its_place_and_its_time(
    store: Store, clock: RehearsalClock
) -> None:
    first = await open_one(store)
    clock.advance(70)
    await pass_time(store)
    second = await lessen(store, first, 400)
    third = await lessen(store, second, 40)
    assert await states(store) == {first: "superseded", second: "superseded", third: "pending"}
    was, now = await read(store, first), await read(store, third)
    assert (now.level, now.role, now.decide_by) == (2, "lead", was.decide_by)
    assert await timer_refs(store) == [third]
    found = await store.read(lambda tx: read_narrowed(tx, find(tx, third)))
    assert found is not None
    assert [(one.before, one.after) for one in found.changes] == [(4000, 40)]
    standing = await store.read(lambda tx: service.find_standing(tx, "run_1", wanted().digest))
    assert standing is not None
    assert (standing.request, standing.state) == (third, "pending")
    assert standing.narrowed == found
    assert not await redeem(store, wanted())
    assert await vote(store, third) == "approved"
    assert not await redeem(store, wanted())
    assert await redeem(store, wanted(arguments={"charge_id": "ch_81", "amount_usd": 40}))
    with pytest.raises(Conflict) as late:
        await vote(store, first)
    assert "put another in its place" in late.value.message


async def test_votes_do_not_carry_over_to_what_was_narrowed(store: Store) -> None:
    first = await open_one(store, quorum=2)
    assert await vote(store, first, "person/ada") == "pending"
    second = await lessen(store, first, 400)
    found = await read(store, second)
    assert (found.approvals, found.quorum, found.votes) == (0, 2, ())
    assert await vote(store, second, "person/ada") == "pending"
    assert await vote(store, second, "person/grace") == "approved"


async def test_a_narrowing_ends_with_its_deadline(store: Store, clock: RehearsalClock) -> None:
    first = await open_one(store)
    clock.advance(150)
    second = await lessen(store, first, 400)
    clock.advance(51)
    await pass_time(store)
    assert (await states(store))[second] == "expired"
    assert await timer_refs(store) == []


async def test_an_agent_that_asked_for_less_itself_is_decided_there(store: Store) -> None:
    first = await open_one(store)
    own = await open_one(store, arguments={"charge_id": "ch_81", "amount_usd": 400})
    with pytest.raises(Conflict) as refused:
        await lessen(store, first, 400)
    assert refused.value.code == "already_asked"
    assert await states(store) == {first: "pending", own: "pending"}


async def test_the_same_call_under_another_digest_ends_the_one_before(store: Store) -> None:
    first = await open_one(store, call_digest="call")
    other = await open_one(store, run="run_2", call_digest="call")
    second = await open_one(store, digest="sha256:b", call_digest="call")
    await store.write(lambda tx: link_new(tx, second))
    assert await states(store) == {first: "superseded", other: "pending", second: "pending"}
    assert (await read(store, second)).supersedes == first
    assert sorted(await timer_refs(store)) == sorted([other, second])


async def test_the_next_request_of_a_run_and_tool_is_linked_to_one_that_asked_for_changes(
    store: Store,
) -> None:
    first = await open_one(store)
    await vote(store, first, verdict="changes", reason="less")
    standing = await store.read(lambda tx: service.find_standing(tx, "run_1", wanted().digest))
    assert standing is not None
    assert (standing.state, standing.asks_changes, standing.reason) == ("denied", True, "less")
    for tool, linked in (("another.tool", None), ("stripe.create_refund", first)):
        request = await open_one(store, tool=tool, digest=f"sha256:{tool}")
        await store.write(lambda tx, request=request: link_new(tx, request))  # type: ignore[misc]
        assert (await read(store, request)).supersedes == linked


async def test_broken_glass_is_good_for_two_minutes_and_reviewed_in_a_day(
    store: Store, clock: RehearsalClock
) -> None:
    request = await open_one(store)
    await alone(store, request)
    row = await read(store, request)
    assert (row.state, row.break_glass) == ("approved", True)
    listed = await store.read(
        lambda tx: list_requests(tx, person="x", roles=OPS, state="review", limit=5)
    )
    assert [one.request for one in listed.rows] == [request]
    clock.advance(119)
    assert await redeem(store, wanted())
    second = await open_one(store, run="run_2")
    await alone(store, second)
    clock.advance(120)
    assert not await redeem(store, wanted(run="run_2"))
    clock.advance(86_400)
    await pass_time(store)
    assert (await types(store, request))[-1] == "breakglass.overdue"
    third = await open_one(store, run="run_3")
    with pytest.raises(Forbidden) as barred:
        await alone(store, third)
    assert barred.value.code == "review_overdue"
    await alone(store, third, person="person/grace")
    for one in (request, second):
        with pytest.raises(Forbidden) as own:
            await judge(store, one, "person/Ada")
        assert own.value.code == "separation_of_duties"
        with pytest.raises(Forbidden) as stranger:
            await judge(store, one, "person/mallory", roles=frozenset({"sales"}))
        assert stranger.value.code == "role_missing"
        await judge(store, one, "person/grace")
        with pytest.raises(Conflict):
            await judge(store, one, "person/edsger")
    await alone(store, await open_one(store, run="run_4"))


async def test_nobody_breaks_the_glass_for_themselves_or_where_it_is_forbidden(
    store: Store, clock: RehearsalClock
) -> None:
    request = await open_one(store)
    for person in ("person/carol", "Carol"):
        with pytest.raises(Forbidden) as own:
            await alone(store, request, person=person)
        assert own.value.code == "separation_of_duties"
    with pytest.raises(Conflict) as stale:
        await alone(store, request, digest="sha256:0")
    assert stale.value.code == "stale_digest"
    closed = await open_one(store, run="run_2", deciding=Deciding(break_glass=False))
    with pytest.raises(Forbidden) as refused:
        await alone(store, closed)
    assert refused.value.code == "break_glass_refused"
    signed = await open_one(store, run="run_3", deciding=Deciding(signed=True))
    with pytest.raises(Forbidden) as unsigned:
        await alone(store, signed)
    assert unsigned.value.code == "signature_required"
    clock.advance(201)
    with pytest.raises(Conflict) as late:
        await alone(store, request)
    assert late.value.code == "expired"
    assert set((await states(store)).values()) == {"pending"}


async def test_one_of_two_votes_does_not_keep_its_voter_from_breaking_the_glass(
    store: Store,
) -> None:
    request = await open_one(store, quorum=2)
    assert await vote(store, request, "person/ada") == "pending"
    await alone(store, request)
    row = await read(store, request)
    assert row.state == "approved"
    assert sorted(vote.verdict for vote in row.votes) == ["approve", "break-glass"]
    assert await redeem(store, wanted())


async def test_an_approval_is_taken_back_by_who_gave_it_or_was_asked(store: Store) -> None:
    request = await open_one(store)
    await vote(store, request, "person/ada")
    nobody = frozenset({"sales"})
    with pytest.raises(Forbidden):
        await store.write(lambda tx: take_back(tx, request, person="person/bob", roles=nobody))
    await store.write(lambda tx: take_back(tx, request, person="person/ada", roles=nobody))
    assert (await states(store))[request] == "revoked"
    assert not await redeem(store, wanted())
    assert await timer_refs(store) == []
    again = await open_one(store)
    assert again != request


async def test_a_standing_approval_is_neither_narrowed_nor_taken_back_nor_given_alone(
    store: Store,
) -> None:
    request = await open_one(store, kind="standing", standing="sta_1")
    with pytest.raises(Forbidden) as refused:
        await alone(store, request)
    assert refused.value.code == "break_glass_refused"
    with pytest.raises(Conflict) as kept:
        await store.write(lambda tx: take_back(tx, request, person="person/ada", roles=OPS))
    assert kept.value.code == "not_an_action"
    assert kept.value.remedy is not None
    assert "standing end sta_1" in kept.value.remedy


async def test_a_caller_is_missed_while_it_matters_only(store: Store) -> None:
    request = await open_one(store)
    for _ in range(2):
        await store.write(lambda tx: caller_left(tx, request))
    assert (await read(store, request)).caller_gone
    for _ in range(2):
        await store.write(lambda tx: caller_came(tx, request))
    assert not (await read(store, request)).caller_gone
    await vote(store, request)
    await store.write(lambda tx: caller_left(tx, request))
    assert not (await read(store, request)).caller_gone
    assert [one for one in await types(store, request) if "caller" in one] == [
        "request.caller_gone",
        "request.caller_back",
    ]


async def test_comments_are_kept_in_order_and_bounded(store: Store) -> None:
    request = await open_one(store)
    for number in range(MOST):
        await store.write(
            lambda tx, number=number: comment(tx, request, person="person/ada", text=str(number))  # type: ignore[misc]
        )
    with pytest.raises(Conflict) as full:
        await store.write(lambda tx: comment(tx, request, person="person/ada", text="more"))
    assert full.value.code == "too_many_comments"
    said = (await read(store, request)).comments
    assert [one.text for one in said] == [str(number) for number in range(MOST)]


async def test_a_chain_of_requests_that_stand_for_one_another_ends(store: Store) -> None:
    request = await open_one(store)
    amounts = range(3999, 3999 - superseding.LONGEST_CHAIN - 2, -1)
    last = request
    for amount in amounts:
        last = await lessen(store, last, amount)
    assert (await states(store))[last] == "pending"
    # what is that deep is not followed to its end: the call is asked anew, nothing is permitted
    standing = await store.read(lambda tx: service.find_standing(tx, "run_1", wanted().digest))
    assert standing is not None
    assert standing.state == "superseded"
    assert not await redeem(store, wanted())
