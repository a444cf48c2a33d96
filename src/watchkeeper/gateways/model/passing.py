"""A streamed answer on its way to whoever asked for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from watchkeeper.gateways.http import header_value

Headers = Sequence[tuple[bytes, bytes]]
_OK = 200


class Receiver(Protocol):
    """Takes a streamed answer; from its beginning on no other attempt can answer."""

    @property
    def begun(self) -> bool:
        """Whether something of it was passed on."""
        ...

    async def begin(self, kind: str, headers: Headers) -> None:
        """Take its media type and the headers; at once something follows."""
        ...

    async def push(self, data: bytes) -> None:
        """Take whole events."""
        ...

    async def end(self, data: bytes) -> None:
        """Take the last of it."""
        ...


class Passing:
    """Passes events on as they come; nothing is kept."""

    def __init__(self, send: Any) -> None:
        self._send = send
        self.begun = False

    async def begin(self, kind: str, headers: Headers) -> None:
        """Send the head of the answer."""
        self.begun = True
        head = [
            (b"content-type", header_value(kind)),
            (b"cache-control", b"no-cache, no-transform"),
            *headers,
        ]
        await self._send({"type": "http.response.start", "status": _OK, "headers": head})

    async def push(self, data: bytes) -> None:
        """Send events."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes) -> None:
        """Send the last of it."""
        await self._send({"type": "http.response.body", "body": data, "more_body": False})
