"""A store that does not answer: nothing is permitted, and that is said within a bound."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.kill.guarded import Guarded
from tests.rig.deadline import eventually_async
from watchkeeper.core.errors import Unavailable
from watchkeeper.decide import bounds
from watchkeeper.kill.service import locks_in_force
from watchkeeper.store.store import Store

SECONDS = 0.4


@asynccontextmanager
async def stalled(database_url: str) -> AsyncIterator[None]:
    """Keep every transaction of the plane waiting, as a database does that hangs."""
    if database_url.startswith("sqlite"):
        other = sqlite3.connect(database_url.removeprefix("sqlite:///"), isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            yield
        finally:
            other.close()
        return
    import asyncpg

    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("BEGIN; LOCK TABLE decisions, locks IN ACCESS EXCLUSIVE MODE")
        yield
    finally:
        await connection.close()


async def test_a_gateway_that_cannot_see_the_locks_in_time_permits_nothing(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded = await Guarded.open(store)
    run = await guarded.open_run()
    monkeypatch.setattr(bounds, "LONGEST_SECONDS", SECONDS)
    async with stalled(database_url):
        with pytest.raises(Unavailable) as refused:
            await asyncio.wait_for(guarded.ask(run.token), 5)
    # one file that another writes is given up sooner, and by name
    assert refused.value.rule == "store/bound" or "locked" in refused.value.message
    monkeypatch.undo()
    lock = await guarded.lock("agent", "clerk", "pause")
    assert (await guarded.ask(run.token)).rule == f"lock/{lock}"
    assert await guarded.permitted_under_a_lock() == []


async def test_a_kill_that_the_store_does_not_take_in_time_says_so(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database_url.startswith("sqlite"):
        pytest.skip("one file that another writes is given up sooner, as above")
    guarded = await Guarded.open(store)
    monkeypatch.setattr(bounds, "LONGEST_SECONDS", SECONDS)
    async with stalled(database_url):
        with pytest.raises(Unavailable):
            await asyncio.wait_for(guarded.lock("agent", "clerk"), 5)
    monkeypatch.undo()

    async def agree() -> bool:
        kept = await store.read(locks_in_force)
        return not guarded.decider.unread and guarded.decider.locks == kept

    await eventually_async(agree, "whether it came into force is known")
    await guarded.kill.stop()
