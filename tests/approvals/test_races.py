from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial

import pytest

from tests.approvals.ground import (
    open_one,
    pass_time,
    read,
    redeem,
    timer_refs,
    types,
    vote,
    wanted,
)
from watchkeeper.approvals import service
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Conflict
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

PEOPLE = [f"p{n}" for n in range(25)]


async def test_of_many_voters_at_once_exactly_the_quorum_decides(store: Store) -> None:
    request = await open_one(store, quorum=3)
    answers = await asyncio.gather(
        *(vote(store, request, person) for person in PEOPLE), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, Conflict)]
    assert Counter(answer for answer in answers if isinstance(answer, str)) == {
        "pending": 2,
        "approved": 1,
    }
    assert {error.code for error in refused} == {"already_decided"}
    assert len(refused) == len(PEOPLE) - 3
    row = await read(store, request)
    assert (row.state, row.approvals, len(row.votes)) == ("approved", 3, 3)
    assert (await types(store, request)).count("request.approved") == 1


async def test_one_person_on_many_consoles_votes_once(store: Store) -> None:
    request = await open_one(store, quorum=2)
    answers = await asyncio.gather(
        *(vote(store, request, name) for name in ["ada", "person/ada", "ADA", "ada"]),
        return_exceptions=True,
    )
    assert [answer for answer in answers if isinstance(answer, str)] == ["pending"]
    assert (await read(store, request)).state == "pending"


@pytest.mark.parametrize("first", ["approve", "reject"])
async def test_approval_and_rejection_at_once_have_one_outcome(store: Store, first: str) -> None:
    request = await open_one(store)
    second = {"approve": "reject", "reject": "approve"}[first]
    answers = await asyncio.gather(
        vote(store, request, "ada", first),
        vote(store, request, "eve", second),
        return_exceptions=True,
    )
    decided = [answer for answer in answers if isinstance(answer, str)]
    assert len(decided) == 1
    assert (await read(store, request)).state == decided[0]


async def test_vote_and_deadline_at_once_have_one_outcome(
    store: Store, clock: RehearsalClock
) -> None:
    requests = [await open_one(store, run=f"run_{n}", sla_seconds=30) for n in range(10)]
    clock.advance(29.999999)
    votes = [vote(store, request) for request in requests]

    async def late() -> None:
        clock.advance(0.000001)
        await pass_time(store)

    answers = await asyncio.gather(*votes[:5], late(), *votes[5:], return_exceptions=True)
    for request, answer in zip(requests, answers[:5] + answers[6:], strict=True):
        row = await read(store, request)
        assert row.state == (answer if isinstance(answer, str) else "expired")
        happened = await types(store, request)
        assert sum(kind in ("request.approved", "request.expired") for kind in happened) == 1
        if isinstance(answer, BaseException):
            assert isinstance(answer, Conflict)
    assert sorted(await timer_refs(store)) == sorted(
        r for r, a in zip(requests, answers[:5] + answers[6:], strict=True) if a == "approved"
    )


async def test_of_fifty_redeemers_exactly_one_wins(store: Store) -> None:
    request = await open_one(store)
    await vote(store, request)
    won = await asyncio.gather(*(redeem(store, wanted(), f"dec_{n}") for n in range(50)))
    assert sum(won) == 1
    assert (await types(store, request)).count("grant.redeemed") == 1


async def test_redeeming_and_revoking_at_once_do_not_both_happen(store: Store) -> None:
    news = [wanted(run=f"run_{n}") for n in range(20)]
    for new in news:
        await vote(store, await open_one(store, run=new.run))

    async def revoke(run: str) -> int:
        def unit(tx: Transaction) -> int:
            tx.silent("there may be nothing to revoke")
            return sum(service.revoke(tx, runs=[run], lock="lock_1", now=tx.now))

        return await store.write(unit)

    pairs = [(redeem(store, new), revoke(new.run)) for new in news]
    ordered = [pair if n % 2 else pair[::-1] for n, pair in enumerate(pairs)]
    results = await asyncio.gather(*(one for pair in ordered for one in pair))
    for n in range(len(news)):
        assert sum(int(result) for result in results[2 * n : 2 * n + 2]) == 1


async def test_same_action_held_many_times_at_once_is_one_request(store: Store) -> None:
    assert len(set(await asyncio.gather(*(open_one(store) for _ in range(20))))) == 1


async def test_many_escalations_of_one_level_raise_it_once(store: Store) -> None:
    request = await open_one(store)
    answers = await asyncio.gather(
        *(
            store.write(partial(service.escalate, request=request, level=1, person=who))
            for who in PEOPLE
        ),
        return_exceptions=True,
    )
    assert answers.count(2) == 1
    assert (await read(store, request)).level == 2
