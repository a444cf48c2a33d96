"""Rate limits: the rule against a bucket counted by hand, and the rows under a store."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.clock import RehearsalClock
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.rates.rules import Limit, make_limit, spend
from watchkeeper.tools.rates.service import TooSoon, purge, put_back, take
from watchkeeper.tools.rates.tables import rates

limits = st.builds(
    lambda calls, seconds, burst: make_limit("r", "a", calls=calls, seconds=seconds, burst=burst),
    st.integers(1, 2_000_000),
    st.sampled_from([1, 60, 3600, 86_400]),
    st.none() | st.integers(1, 50),
)
steps = st.lists(st.integers(0, 200_000_000), max_size=60)


def run(limit: Limit, times: list[int]) -> list[int]:
    """Return the times at which a call passed."""
    arrival: int | None = None
    passed = []
    for now in times:
        arrival, wait = spend(arrival, limit, now)
        if not wait:
            passed.append(now)
    return passed


def times_of(gaps: list[int]) -> list[int]:
    """Return rising times from the gaps between them."""
    now, times = 10**15, []
    for gap in gaps:
        now += gap
        times.append(now)
    return times


@given(limits, steps)
def test_it_passes_what_a_bucket_of_tokens_would(limit: Limit, gaps: list[int]) -> None:
    full = credit = limit.burst * limit.interval
    last = 10**15
    expected = []
    for now in times_of(gaps):
        credit = min(full, credit + now - last)
        last = now
        if credit >= limit.interval:
            credit -= limit.interval
            expected.append(now)
    assert run(limit, times_of(gaps)) == expected


@given(limits, steps)
def test_no_stretch_of_time_sees_more_than_burst_and_rate(limit: Limit, gaps: list[int]) -> None:
    passed = run(limit, times_of(gaps))
    for first, start in enumerate(passed):
        for last, end in enumerate(passed[first:], first):
            assert last - first + 1 <= limit.burst + (end - start) // limit.interval


@given(limits, st.lists(st.integers(-(10**9), 10**9), max_size=60))
def test_a_clock_set_back_never_opens_it(limit: Limit, moves: list[int]) -> None:
    now, times = 10**15, []
    for move in moves:
        now += move
        times.append(now)
    forward = sum(move for move in moves[1:] if move > 0)
    assert len(run(limit, times)) <= limit.burst + forward // limit.interval


@given(limits, steps)
def test_the_wait_it_names_is_the_least_that_helps(limit: Limit, gaps: list[int]) -> None:
    arrival: int | None = None
    for now in times_of(gaps):
        arrival, wait = spend(arrival, limit, now)
        if wait:
            assert spend(arrival, limit, now + wait - 1)[1] == 1
            assert spend(arrival, limit, now + wait)[1] == 0


@given(st.integers(1, 1_000_000), st.sampled_from([1, 60, 3600, 86_400]))
def test_an_interval_is_never_shorter_than_declared(calls: int, seconds: int) -> None:
    limit = make_limit("r", "a", calls=calls, seconds=seconds, burst=None)
    assert limit.interval * calls >= seconds * 1_000_000
    assert limit.burst == calls


def test_a_limit_that_was_raised_counts_at_once() -> None:
    slow = make_limit("r", "a", calls=1, seconds=86_400, burst=None)
    quick = make_limit("r", "a", calls=1, seconds=1, burst=None)
    arrival, _ = spend(None, slow, 10**15)
    arrival, wait = spend(arrival, quick, 10**15)
    assert wait == 1_000_000
    assert spend(arrival, quick, 10**15 + wait)[1] == 0


FEW = make_limit("rate/few", "all", calls=3, seconds=60, burst=None)
MANY = make_limit("rate/many", "all", calls=100, seconds=60, burst=None)


async def arrivals(store: Store) -> dict[str, int]:
    """Return what every limit's row says."""
    return await store.read(
        lambda tx: {row.rule: row.arrival for row in tx.connection.execute(rates.select())}
    )


async def spend_both(store: Store) -> TooSoon | None:
    """Spend one call of both limits."""

    def unit(tx: Transaction) -> TooSoon | None:
        tx.silent("the test counts")
        return take(tx, (MANY, FEW))

    return await store.write(unit)


async def test_all_limits_are_spent_or_none_at_any_concurrency(
    store: Store, clock: RehearsalClock
) -> None:
    now = clock.now()
    answers = await asyncio.gather(*(spend_both(store) for _ in range(50)))
    refused = [answer for answer in answers if answer is not None]
    assert len(refused) == 47
    assert {(one.limit.rule, one.retry_after_seconds) for one in refused} == {("rate/few", 20)}
    assert await arrivals(store) == {
        "rate/few": now + 3 * FEW.interval,
        "rate/many": now + 3 * MANY.interval,
    }
    clock.advance(20)
    assert await spend_both(store) is None
    assert await spend_both(store) is not None


async def test_what_is_put_back_can_be_spent_again(store: Store) -> None:
    before: dict[str, int] = {}
    for _ in range(3):
        before = await arrivals(store)
        await spend_both(store)

    def unit(tx: Transaction) -> None:
        tx.silent("the test counts")
        put_back(tx, (FEW, MANY))

    await store.write(unit)
    assert await arrivals(store) == before
    assert await spend_both(store) is None
    assert await spend_both(store) is not None


async def test_only_full_buckets_are_forgotten(store: Store, clock: RehearsalClock) -> None:
    await spend_both(store)
    clock.advance(1)
    assert await store.write(purge) == 1
    assert list(await arrivals(store)) == ["rate/few"]
    clock.advance(60)
    assert await store.write(purge) == 1
