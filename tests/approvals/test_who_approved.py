"""Whose word an approval is: a deadline's, one person's alone, or that of who voted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.approvals.ground import OPS, open_one, pass_time, read, vote, wanted
from watchkeeper.approvals import emergencies, service
from watchkeeper.approvals.model import Grant
from watchkeeper.approvals.taking_back import take_back
from watchkeeper.approvals.voiding import void
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Forbidden
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

ADA, BOB = "person/ada", "person/bob"


async def alone(store: Store, request: str, person: str = ADA) -> None:
    """Break the glass."""
    seen = (await read(store, request)).digest
    await store.write(
        lambda tx: emergencies.break_glass(tx, request, person=person, digest=seen, reason="fire")
    )


async def judge(store: Store, request: str, person: str) -> None:
    """Review that somebody broke the glass."""
    await store.write(
        lambda tx: emergencies.review(
            tx, request, person=person, roles=OPS, verdict="justified", note="so it was"
        )
    )


async def granted(store: Store) -> Grant:
    """Return the grant there is."""
    new = wanted()
    found = await store.read(lambda tx: service.find_grant(tx, new.run, new.digest, tx.now))
    assert found is not None
    return found


async def test_a_deadline_approves_whatever_votes_there_were(
    store: Store, clock: RehearsalClock
) -> None:
    request = await open_one(store, quorum=2, risk="low", timeout_outcome="allow")
    assert await vote(store, request, ADA) == "pending"
    clock.advance(201)
    await pass_time(store)
    assert (await granted(store)).by == ("deadline",)


async def test_who_breaks_the_glass_approves_alone_whoever_voted_before(store: Store) -> None:
    request = await open_one(store, quorum=2)
    await vote(store, request, BOB)
    await alone(store, request)
    found = await granted(store)
    assert (found.by, found.alone) == ((ADA,), True)


def _taken_back(tx: Transaction, request: str) -> None:
    take_back(tx, request, person=BOB, roles=OPS)


def _killed(tx: Transaction, request: str) -> None:
    service.revoke(tx, runs=["run_1"], lock="lck_1", now=tx.now)


def _void(tx: Transaction, request: str) -> None:
    void(tx, request, "it is not enough any more")


def _cancelled(tx: Transaction, request: str) -> None:
    service.cancel(tx, request, by="agent/refund-assistant")


@pytest.mark.parametrize("end", [_taken_back, _killed, _void, _cancelled])
async def test_however_it_ended_broken_glass_is_reviewed_by_another(
    store: Store, clock: RehearsalClock, end: Callable[[Transaction, str], None]
) -> None:
    request = await open_one(store)
    await alone(store, request)
    await store.write(lambda tx: end(tx, request))
    assert (await read(store, request)).alone_by == ADA
    with pytest.raises(Forbidden) as own:
        await judge(store, request, ADA)
    assert own.value.code == "separation_of_duties"
    clock.advance(86_401)
    await pass_time(store)
    again = await open_one(store, run="run_2")
    with pytest.raises(Forbidden) as overdue:
        await alone(store, again)
    assert overdue.value.code == "review_overdue"
    # it was not he who broke it
    await alone(store, again, BOB)
    await judge(store, request, BOB)
    await alone(store, await open_one(store, run="run_3"))
