"""A streamed answer on its way to whoever asked for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from watchkeeper.gateways.http import header_value
from watchkeeper.tools.upstreams.egress import LARGEST_ANSWER
from watchkeeper.tools.upstreams.model import UpstreamFailure

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


class Kept:
    """Keeps a streamed answer until it is known whether the caller is to have it."""

    def __init__(self) -> None:
        self.begun = False
        self.kind = ""
        self.headers: Headers = ()
        self._pieces: list[bytes] = []
        self._size = 0

    @property
    def data(self) -> bytes:
        """All that was said."""
        return b"".join(self._pieces)

    async def begin(self, kind: str, headers: Headers) -> None:
        """Keep the head of the answer."""
        self.begun, self.kind, self.headers = True, kind, headers

    async def push(self, data: bytes) -> None:
        """Keep events; for too many raise `UpstreamFailure`, and keep none of them."""
        self._size += len(data)
        if self._size > LARGEST_ANSWER:
            self._pieces, self._size = [], 0
            raise UpstreamFailure("its answer is too large to be judged", reached=True)
        self._pieces.append(data)

    async def end(self, data: bytes) -> None:
        """Keep the last of it, as :meth:`push` does."""
        await self.push(data)


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
