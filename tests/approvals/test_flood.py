"""An agent that asks and takes back in a loop."""

from __future__ import annotations

from functools import partial

from tests.approvals.ground import open_one
from watchkeeper.approvals import service
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.store.store import Store

AGENT = "refund-assistant"


async def test_what_is_taken_back_again_and_again_counts_for_a_minute(
    store: Store, clock: RehearsalClock
) -> None:
    async def waiting(agent: str = AGENT) -> int:
        return await store.read(lambda tx: service.count_waiting(tx, agent))

    for number in range(25):
        request = await open_one(store)
        cancel = partial(service.cancel, request=request, by=f"agent/{AGENT}")
        assert await store.write(cancel)
        assert await waiting() == max(0, number - 19)
    await open_one(store)
    assert await waiting() == 6
    assert await waiting("another") == 0
    clock.advance(60)
    assert await waiting() == 1
