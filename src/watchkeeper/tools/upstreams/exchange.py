"""One request and its answer on a connection of the client library's pool.

The library's own session does much about cookies, redirects, proxies and tracing, of which
nothing is wanted here, and that costs as much as all the rest of a request. Loaded when the first
request is sent: the library is slow to import.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

import aiohttp
from aiohttp import ClientRequest, ClientTimeout, TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import StreamWriter
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from watchkeeper.tools.upstreams.model import Sending, UpstreamFailure

_PIECE = 64 * 1024
"""Bytes of a body that are written at once; the rest waits until the server takes them."""
_MOST_TARGETS = 1000
"""URLs remembered as they are written; then anew."""
_MOST_UNASKED = 8
"""Connections given up in a row on which the server spoke first."""
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""What is sent once more where a connection that was kept turns out to be closed."""
_BARE = frozenset({"GET", "HEAD", "OPTIONS"})
"""What says nothing of a body that it has not."""


_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What would end a header and begin another."""


class Response:
    """An answer: its head, and its body as it comes."""

    __slots__ = ("_connection", "_writing", "content", "headers", "status")

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        content: aiohttp.StreamReader,
        connection: Connection,
        writing: asyncio.Task[None] | None,
    ) -> None:
        self.status = status
        self.headers = headers
        """By name, in whatever case."""
        self.content = content
        self._connection = connection
        self._writing = writing

    @property
    def content_type(self) -> str:
        """Return the media type without parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def let_go(self) -> None:
        """Keep the connection for another request where both sides have said all, or close it."""
        if self._writing is None or self._writing.done():
            self._connection.release()
        else:
            self._writing.cancel()
            self._connection.close()


class _Target(NamedTuple):
    """What is the same of each request to a URL."""

    request: ClientRequest
    """Says to the connector where it leads."""
    head: str
    """What follows the method."""


class Pool:
    """Connections to servers, and what is sent on them."""

    def __init__(self, connector: TCPConnector, *, connect_seconds: float) -> None:
        self._connector = connector
        self._timeout = ClientTimeout(total=None, sock_connect=connect_seconds)
        self._targets: dict[str, _Target] = {}

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        sending: Sending,
    ) -> Response:
        """Send a request and return its answer, which is to be let go.

        Raises the library's errors, and `UpstreamFailure` for a header that can't be sent.
        """
        target = self._targets.get(url) or self._read(url)
        head = _head(method, target, headers, body)
        try:
            return await self._exchange(method, target, head, body or b"", sending)
        except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError):
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
            if method not in _REPEATABLE:
                raise
            return await self._exchange(method, target, head, body or b"", sending)

    async def close(self) -> None:
        """Close every connection."""
        await self._connector.close()

    def _read(self, url: str) -> _Target:
        if len(self._targets) >= _MOST_TARGETS:
            self._targets.clear()
        try:
            read = URL(url)
            request = ClientRequest("GET", read, loop=asyncio.get_running_loop())
        except ValueError:
            raise aiohttp.InvalidURL(url) from None
        host = read.host_port_subcomponent
        head = f" {read.raw_path_qs} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: identity"
        target = self._targets[url] = _Target(request, head)
        return target

    async def _connect(self, target: _Target) -> Connection:
        """Return a connection on which nothing came that nobody had asked for: it would be taken
        for the answer to what is asked now.
        """
        for _ in range(_MOST_UNASKED):
            try:
                connection = await self._connector.connect(target.request, [], self._timeout)
            except TimeoutError as error:
                raise aiohttp.ConnectionTimeoutError("no connection in time") from error
            if connection.protocol is None or not connection.protocol.should_close:
                return connection
            connection.close()
        raise NotHttp

    async def _exchange(
        self, method: str, target: _Target, head: bytes, body: bytes, sending: Sending
    ) -> Response:
        connection = await self._connect(target)
        # from here on nobody here knows what the server has seen
        sending.sent = True
        writing: asyncio.Task[None] | None = None
        try:
            protocol, transport = connection.protocol, connection.transport
            assert protocol is not None, "it was just taken"
            assert transport is not None, "it is open"
            protocol.set_response_params(
                skip_payload=method == "HEAD",
                read_until_eof=True,
                # a kilobyte may unpack to a megabyte: what is compressed is read by nobody
                auto_decompress=False,
            )
            if len(body) <= _PIECE:
                transport.write(head + body)
            else:
                transport.write(head)
                writing = asyncio.create_task(_write(protocol, body))
            while True:
                message, content = await protocol.read()
                if not 100 <= message.code < 200 or message.code == 101:
                    return Response(message.code, message.headers, content, connection, writing)
        except BaseException as error:
            if writing is not None:
                writing.cancel()
            connection.close()
            if isinstance(error, HttpProcessingError):
                raise NotHttp from error
            raise


class NotHttp(aiohttp.ClientError):
    """What came back is no answer in HTTP."""


async def _write(protocol: ResponseHandler, body: bytes) -> None:
    """Write a large body, no faster than it is taken; where that fails, the reader hears of it."""
    writer = StreamWriter(protocol, asyncio.get_running_loop())
    pieces = memoryview(body)
    with suppress(aiohttp.ClientError, OSError):
        for start in range(0, len(body), _PIECE):
            await writer.write(pieces[start : start + _PIECE])
            await writer.drain()


def _head(method: str, target: _Target, headers: Mapping[str, str], body: bytes | None) -> bytes:
    """Write the head of a request; raise `UpstreamFailure` where a header can't be sent."""
    lines = [f"{name}: {value}" for name, value in headers.items()]
    if body is not None or method not in _BARE:
        lines.append(f"Content-Length: {len(body or b'')}")
    if _CONTROL.search("".join(lines)):
        raise UpstreamFailure("a header for it has a control character in it", reached=False)
    return "\r\n".join([method + target.head, *lines, "\r\n"]).encode()
