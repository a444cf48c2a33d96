"""subscriptions/listen: a server of the modern era says that its tools have changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.tools.upstreams.egress import media_type
from watchkeeper.tools.upstreams.events import EventSplitter, EventTooLong, data_of
from watchkeeper.tools.upstreams.model import UpstreamFailure
from watchkeeper.tools.upstreams.protocol import TOOLS_CHANGED, read_message

if TYPE_CHECKING:
    from aiohttp import ClientResponse

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 30.0
_LONGEST_EVENT = 64 * 1024
_OK = 200


class Announcements:
    """Keeps one stream open; where there is none, tools are listed at every check anyway."""

    def __init__(
        self, name: str, stream: Callable[[], AbstractAsyncContextManager[ClientResponse]]
    ) -> None:
        self._name = name
        self._stream = stream
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen; a second call does nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._listen(), name=f"listen to {self._name}")

    async def wait(self) -> None:
        """Return when the tools have changed since the last time this returned."""
        await self._changed.wait()
        self._changed.clear()

    async def stop(self) -> None:
        """Hang up."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            try:
                async with self._stream() as response:
                    await self._follow(response)
            except (UpstreamFailure, WatchkeeperError, EventTooLong, ValueError) as error:
                log.debug("upstream %s: no word of changes: %s", self._name, type(error).__name__)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _follow(self, response: ClientResponse) -> None:
        if response.status != _OK or media_type(response) != "text/event-stream":
            return
        splitter = EventSplitter(_LONGEST_EVENT)
        async for piece in response.content.iter_any():
            for event in splitter.feed(piece):
                data = data_of(event)
                if data and read_message(data).method == TOOLS_CHANGED:
                    self._changed.set()
