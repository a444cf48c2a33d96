"""notifications/cancelled: how a client of the handshake era says that it waits no longer.

There, hanging up means nothing. Without this a call could run on an approval that came after
its caller had given up, and the caller's next attempt would ask a person again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from watchkeeper.gateways.mcp.envelope import Request, RequestId

_Key = tuple[str, RequestId]


class Cancellations:
    """The calls that may be cancelled while they wait, by run and request id."""

    def __init__(self) -> None:
        self._open: dict[_Key, list[asyncio.Event]] = {}

    @contextmanager
    def open(self, run: str, identifier: RequestId | None, gone: asyncio.Event) -> Iterator[None]:
        """Let the run cancel this call; `gone` is set when it does."""
        key = (run, identifier if identifier is not None else "")
        waiting = self._open.setdefault(key, [])
        waiting.append(gone)
        try:
            yield
        finally:
            waiting.remove(gone)
            if not waiting:
                self._open.pop(key, None)

    def cancel(self, run: str, note: Request) -> None:
        """Take a cancellation: what of the run waits under that id waits no longer.

        Two clients of one run may use one id: then neither runs, which is the safe side.
        """
        identifier = note.params.get("requestId")
        if isinstance(identifier, int | str) and not isinstance(identifier, bool):
            for gone in self._open.get((run, identifier), ()):
                gone.set()
