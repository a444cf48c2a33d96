from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.rig.stores import database_url, postgres
from watchkeeper.core.clock import RehearsalClock
from watchkeeper.store.store import Store

__all__ = ["database_url", "postgres"]


@pytest.fixture
def clock() -> RehearsalClock:
    return RehearsalClock(frozen=True)


@pytest.fixture
async def store(database_url: str, clock: RehearsalClock) -> AsyncIterator[Store]:
    store = await Store.open(database_url, clock)
    yield store
    await store.close()
