"""Single steps of the outbox that must hold exactly."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.clock import MICROSECONDS, RehearsalClock
from watchkeeper.core.errors import TooLarge
from watchkeeper.outbox import reading, service, targets
from watchkeeper.outbox.model import Attempt, Delivery, NewDelivery, Target, Verdict
from watchkeeper.outbox.rules import CLAIM_SECONDS, JITTER, RETRIES, after_attempt
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.deliveries import DeliveryKind

CLAIMED = Delivery(
    "msg_1", "webhook", "ops", None, None, None, None, None, "sending", 1, None, 1, 0, None, None,
    0, None, "{}",
)  # fmt: skip
RETRY = Attempt("retry", 500, "it answered HTTP 500")


async def put(store: Store, target: str = "ops", kind: DeliveryKind = "webhook") -> str:
    new = NewDelivery(kind=kind, target=target, payload="{}")
    return await store.write(lambda tx: service.enqueue(tx, new))


async def claim(store: Store, room: int = 10, busy: tuple[Target, ...] = ()) -> list[str]:
    return [one.id for one in await claimed(store, room, busy)]


async def claimed(store: Store, room: int = 10, busy: tuple[Target, ...] = ()) -> list[Delivery]:
    def unit(tx: Transaction) -> list[Delivery]:
        service.recover(tx)
        return service.claim(
            tx, room=room, room_per_target=4, kinds=["webhook", "notice"], busy=busy
        )

    return await store.write(unit)


async def settle(store: Store, one: Delivery, attempt: Attempt) -> bool:
    return await store.write(lambda tx: service.settle(tx, one, attempt, fraction=0))


async def why_off(store: Store, digest: str) -> str | None:
    return await store.read(lambda tx: targets.why_off(tx, "webhook", "ops", digest))


async def test_an_answer_to_an_older_claim_changes_nothing(
    store: Store, clock: RehearsalClock
) -> None:
    name = await put(store)
    (old,) = await claimed(store)
    clock.advance(CLAIM_SECONDS + 1)
    (new,) = await claimed(store)
    assert (old.id, new.id) == (name, name)
    assert new.epoch == old.epoch + 1
    late = Attempt("refused", 410, "gone")
    assert not await settle(store, old, late)
    assert (await store.read(lambda tx: reading.find(tx, name))).state == "sending"
    assert await settle(store, new, Attempt("sent", 200))
    assert not await settle(store, new, RETRY)
    assert (await store.read(lambda tx: reading.find(tx, name))).state == "sent"


async def test_a_slow_target_holds_up_only_itself(store: Store, clock: RehearsalClock) -> None:
    for _ in range(20):
        await put(store, "slow")
    swift = await put(store, "swift")
    first = await claim(store)
    assert len(first) == 5
    assert swift in first
    assert await claim(store, busy=(("webhook", "slow"),)) == []
    due = await store.read(
        lambda tx: service.next_due(tx, kinds=["webhook"], busy=[("webhook", "slow")])
    )
    assert due == clock.now() + CLAIM_SECONDS * MICROSECONDS


async def test_what_runs_here_is_not_taken_for_abandoned(
    store: Store, clock: RehearsalClock
) -> None:
    await put(store)
    (name,) = await claim(store)
    clock.advance(10 * CLAIM_SECONDS)
    assert await store.write(lambda tx: service.recover(tx, held=[name])) == 0
    assert await store.write(service.recover) == 1


async def test_what_arrived_long_ago_is_forgotten_and_what_did_not_is_kept(
    store: Store, clock: RehearsalClock
) -> None:
    verdicts: tuple[Verdict, ...] = ("sent", "refused", "moot")
    for verdict in verdicts:
        await put(store)
        (one,) = await claimed(store)
        await settle(store, one, Attempt(verdict))
    clock.advance(86_400)
    kept = await put(store)
    assert await store.write(lambda tx: service.purge(tx, tx.now - 3600 * MICROSECONDS)) == 2
    left = await store.read(reading.list_deliveries)
    assert {one.state for one in left} == {"dead", "pending"}
    assert left[0].id == kept


async def test_a_target_is_off_for_one_document_only(store: Store) -> None:
    await store.write(
        lambda tx: targets.turn_off(tx, "webhook", "ops", digest="one", why="it answered 410")
    )
    assert await why_off(store, "one") == "it answered 410"
    assert await why_off(store, "another") is None
    await store.write(lambda tx: service.redrive_all(tx, "webhook", "ops", actor="person/ada"))
    assert await why_off(store, "one") is None


@given(
    kind=st.sampled_from(list(RETRIES)),
    fraction=st.floats(0, 1, exclude_max=True),
    asked=st.none() | st.integers(-5, 10**12),
)
def test_pauses_grow_as_scheduled_and_end(
    kind: DeliveryKind, fraction: float, asked: int | None
) -> None:
    for attempts, pause in enumerate(RETRIES[kind], start=1):
        one = replace(CLAIMED, kind=kind, attempts=attempts)
        attempt = replace(RETRY, after_seconds=asked)
        then = after_attempt(one, attempt, now=0, fraction=fraction)
        assert then.state == "pending"
        least = max(pause, min(max(asked or 0, 0), 86_400))
        assert then.next_at is not None
        assert least * MICROSECONDS <= then.next_at <= least * (1 + JITTER) * MICROSECONDS
    last = replace(CLAIMED, kind=kind, attempts=len(RETRIES[kind]) + 1)
    assert after_attempt(last, RETRY, now=0, fraction=fraction).state == "dead"


def test_a_payload_has_a_bound() -> None:
    with pytest.raises(TooLarge):
        NewDelivery(kind="webhook", target="ops", payload="x" * 40_000)
