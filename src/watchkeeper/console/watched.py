"""Work that takes a while: how far it is over everything, until it is done or given up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from watchkeeper.console.blocks import Block
from watchkeeper.console.desk import Desk
from watchkeeper.console.views.exports import progress_blocks
from watchkeeper.wire.audit import Progress

T = TypeVar("T")
POLL_SECONDS = 0.5
AT_ONCE_SECONDS = 0.3
"""What takes no longer shows nothing of how far it is: nothing flashes."""


async def watched(
    desk: Desk, title: str, work: Coroutine[Any, Any, T], body: Callable[[], Sequence[Block]]
) -> T | None:
    """Return what came of some work; None if the person closed the view of it, which ends it."""
    doing = asyncio.ensure_future(work)
    shown: asyncio.Future[None] | None = None
    try:
        await asyncio.wait({doing}, timeout=AT_ONCE_SECONDS)
        if not doing.done():
            shown = asyncio.ensure_future(desk.view(title, body))
            await asyncio.wait({doing, shown}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            desk.say("given up", "warning")
            return None
        return doing.result()
    finally:
        begun = [task for task in (doing, shown) if task is not None]
        for task in begun:
            task.cancel()
        await asyncio.gather(*begun, return_exceptions=True)


async def with_progress(
    desk: Desk,
    title: str,
    doing: str,
    work: Coroutine[Any, Any, T],
    progress: Callable[[], Awaitable[Progress]],
    more: str,
) -> T | None:
    """Return what came of work that the plane tells the progress of; None if it was given up."""
    newest = [Progress()]

    async def follow() -> None:
        while True:
            newest[0] = await progress()
            await asyncio.sleep(POLL_SECONDS)

    following = asyncio.ensure_future(follow())
    try:
        return await watched(desk, title, work, lambda: progress_blocks(doing, newest[0], more))
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
