"""How long a decision may take: what cannot see the locks in time is not permitted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from watchkeeper.core.errors import Unavailable

T = TypeVar("T")
LONGEST_SECONDS = 10.0
"""A store that takes longer is as good as gone."""


async def in_time(work: Awaitable[T]) -> T:
    """Return what `work` on the store returns; raise `Unavailable` where that takes too long."""
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            return await work
    except TimeoutError:
        raise too_slow() from None


def too_slow() -> Unavailable:
    """Return the refusal of what the store does not say in time, as which locks are in force."""
    return Unavailable(
        f"the store did not answer in {LONGEST_SECONDS:g} s, so nothing is permitted",
        code="store_slow",
        rule="store/bound",
        remedy="try again once the database answers",
    )
