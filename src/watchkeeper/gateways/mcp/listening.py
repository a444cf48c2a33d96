"""subscriptions/listen: telling agents that the tools they may use have changed."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from watchkeeper.gateways.mcp.envelope import Rejected, Request
from watchkeeper.gateways.mcp.exchange import Exchange
from watchkeeper.gateways.mcp.results import own_result
from watchkeeper.tools.upstreams.protocol import INTERNAL_ERROR, SUBSCRIPTION_KEY

_MOST = 512
_MOST_OF_ONE = 64
"""Streams of one agent: it may not take the places of all others."""


class Listeners:
    """Every agent that listens now."""

    def __init__(self) -> None:
        self._changes: set[asyncio.Queue[bool]] = set()
        self._open: Counter[str] = Counter()

    def announce(self) -> None:
        """Tell every listener that the tools on offer have changed."""
        for changes in self._changes:
            if changes.empty():
                changes.put_nowait(True)

    def close(self) -> None:
        """End every stream in good order."""
        for changes in self._changes:
            changes.put_nowait(False)

    async def listen(
        self, agent: str, request: Request, exchange: Exchange
    ) -> dict[str, Any] | None:
        """Serve one stream until the caller hangs up (None) or the plane stops."""
        if len(self._changes) >= _MOST or self._open[agent] >= _MOST_OF_ONE:
            raise Rejected(INTERNAL_ERROR, "too many listeners")
        wanted = request.params.get("notifications")
        tools = isinstance(wanted, dict) and wanted.get("toolsListChanged") is True
        about = {SUBSCRIPTION_KEY: request.id}
        changes: asyncio.Queue[bool] = asyncio.Queue()
        self._changes.add(changes)
        self._open[agent] += 1
        exchange.watch()
        exchange.say(
            "notifications/subscriptions/acknowledged",
            {"notifications": {"toolsListChanged": True} if tools else {}, "_meta": about},
        )
        gone = asyncio.ensure_future(exchange.gone.wait())
        try:
            while True:
                change = asyncio.ensure_future(changes.get())
                await asyncio.wait({change, gone}, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    change.cancel()
                    return None
                if not change.result():
                    return own_result({"_meta": about}, modern=True)
                if tools:
                    exchange.say("notifications/tools/list_changed", {"_meta": about})
        finally:
            gone.cancel()
            self._changes.discard(changes)
            self._open[agent] -= 1
            self._open += Counter()  # without those that are back to none
