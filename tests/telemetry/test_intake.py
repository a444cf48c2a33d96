"""How busy the taking of telemetry is, and who comes with a token of nobody."""

from __future__ import annotations

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.telemetry.meter import WINDOW_SECONDS, Meter
from watchkeeper.decide.telemetry.strangers import (
    MOST_SOURCES,
    OTHERS,
    QUIET_SECONDS,
    Strangers,
)
from watchkeeper.store.store import Store


def test_the_rate_is_that_of_the_last_minute() -> None:
    meter, now = Meter(), 1_000 * MICROSECONDS
    for second in range(3 * WINDOW_SECONDS):
        meter.took(5, now + second * MICROSECONDS)
        meter.took(5, now + second * MICROSECONDS + 1)
    last = now + (3 * WINDOW_SECONDS - 1) * MICROSECONDS
    assert meter.per_second(last) == 10
    assert meter.per_second(last + WINDOW_SECONDS * MICROSECONDS // 2) == 5
    assert meter.per_second(last + WINDOW_SECONDS * MICROSECONDS) == 0


async def test_strangers_make_no_rows_and_one_entry_an_hour(store: Store) -> None:
    strangers = Strangers(store)
    for number in range(10 * MOST_SOURCES):
        await strangers.came(f"2001:db8::{number:x}")
    assert store.head == 1
    assert strangers.count == 10 * MOST_SOURCES
    sources = strangers.sources()
    assert len(sources) == MOST_SOURCES + 1
    assert {one.source: one.requests for one in sources}[OTHERS] == 9 * MOST_SOURCES
    store.clock.advance(QUIET_SECONDS + 1)  # type: ignore[attr-defined]
    assert strangers.lately(store.clock.now()) == []
    await strangers.came("192.0.2.1")
    assert store.head == 2
    assert [one.source for one in strangers.lately(store.clock.now())] == [OTHERS]
