"""People's tokens and challenges, on both databases."""

from __future__ import annotations

import asyncio

import pytest

from watchkeeper.core.clock import RehearsalClock
from watchkeeper.core.errors import Unauthenticated
from watchkeeper.identity.logins import make_challenge, plane_id, take_challenge
from watchkeeper.identity.persons import (
    IssuedToken,
    facts_of_token,
    issue_token,
    list_tokens,
    revoke_token,
    revoke_tokens_of,
)
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction


async def issue(store: Store, person: str = "grace") -> IssuedToken:
    return await store.write(
        lambda tx: issue_token(tx, person, "viewer", ttl_seconds=60, actor="person/ada")
    )


async def opens(store: Store, issued: IssuedToken) -> bool:
    try:
        await store.read(lambda tx: facts_of_token(tx, issued.secret))
    except Unauthenticated:
        return False
    return True


async def test_a_token_opens_until_it_ends(store: Store, clock: RehearsalClock) -> None:
    first, second = await issue(store), await issue(store)
    other = await issue(store, "edsger")
    assert {row.id for row in await store.read(list_tokens)} == {first.id, second.id, other.id}
    await store.write(lambda tx: revoke_token(tx, first.id, actor="person/ada"))
    head = store.head
    await store.write(lambda tx: revoke_token(tx, first.id, actor="person/ada"))
    assert store.head == head, "what changes nothing is recorded once"
    assert [await opens(store, one) for one in (first, second, other)] == [False, True, True]
    ended = await store.write(lambda tx: revoke_tokens_of(tx, "grace", actor="person/ada"))
    assert ended == 1
    assert [await opens(store, one) for one in (second, other)] == [False, True]
    clock.advance(60)
    assert not await opens(store, other)
    assert await store.read(list_tokens) == []


async def test_a_challenge_is_taken_once_by_whoever_comes_first(
    store: Store, clock: RehearsalClock
) -> None:
    nonce, _ = await store.write(lambda tx: make_challenge(tx, "grace"))

    def take(tx: Transaction, person: str = "grace") -> bool:
        return take_challenge(tx, person, nonce)

    assert not await store.write(lambda tx: take(tx, "ada"))
    taken = await asyncio.gather(*(store.write(take) for _ in range(8)))
    assert sum(taken) == 1


@pytest.mark.parametrize(("seconds", "good"), [(59, True), (60, False)])
async def test_a_challenge_ends_after_a_minute(
    store: Store, clock: RehearsalClock, seconds: int, good: bool
) -> None:
    nonce, _ = await store.write(lambda tx: make_challenge(tx, "grace"))
    clock.advance(seconds)
    assert await store.write(lambda tx: take_challenge(tx, "grace", nonce)) is good


async def test_a_plane_keeps_its_id(store: Store) -> None:
    await issue(store)
    first = await store.read(plane_id)
    await issue(store)
    assert await store.read(plane_id) == first
    assert len(first) == len("plane-") + 32
