"""The one HTTP client towards upstreams and providers: no redirects, cookies or proxies.

A request goes to the declared address or nowhere, and its caller learns whether the server
may have seen it.
"""

from __future__ import annotations

import asyncio
import importlib
import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from watchkeeper.tools.upstreams.model import UpstreamFailure

if TYPE_CHECKING:
    import aiohttp

CONNECT_SECONDS = 5.0
LARGEST_ANSWER = 16 * 1024 * 1024
_LARGE = 512 * 1024  # from here on a body is sent in pieces, so that none blocks the loop
_KEEP_ALIVE_SECONDS = 3.0  # below what servers use, so that none closes under a request


@dataclass(slots=True)
class Sending:
    """How far a request got."""

    sent: bool = False


class Egress:
    """A pool of connections; open it once, on the loop that uses it."""

    def __init__(self, connections: int = 256) -> None:
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()

    async def session(self) -> aiohttp.ClientSession:
        """Return the session; the first call loads the client library off the loop."""
        if self._session is None:
            async with self._opening:
                if self._session is None:
                    await asyncio.to_thread(importlib.import_module, "aiohttp")
                    self._session = self._open()
        return self._session

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp

        trace = aiohttp.TraceConfig()

        async def mark_sent(_session: Any, context: Any, _params: Any) -> None:
            if isinstance(context.trace_request_ctx, Sending):
                context.trace_request_ctx.sent = True

        trace.on_request_headers_sent.append(mark_sent)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._connections, keepalive_timeout=_KEEP_ALIVE_SECONDS
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            trace_configs=[trace],
            trust_env=False,
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
        )

    @asynccontextmanager
    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], sending: Sending
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one POST and give its response; leaving the block early aborts the request.

        Raises `UpstreamFailure` when there is no response, or when it breaks off inside the
        block. A redirect is handed back as it is, never followed.
        """
        session = await self.session()
        import aiohttp

        try:
            async with session.post(
                url,
                data=body if len(body) <= _LARGE else io.BytesIO(body),
                headers={"accept-encoding": "identity", **headers},
                allow_redirects=False,
                trace_request_ctx=sending,
            ) as response:
                yield response
        except aiohttp.ClientConnectorError as error:
            raise UpstreamFailure(_why(error), reached=False) from None
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamFailure(_why(error), reached=sending.sent) from None

    async def delete(self, url: str, headers: Mapping[str, str]) -> None:
        """Send one DELETE; raise `UpstreamFailure` when it has no response."""
        session = await self.session()
        import aiohttp

        try:
            async with session.delete(url, headers=headers, allow_redirects=False):
                pass
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamFailure(_why(error), reached=False) from None

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None


async def read_bounded(response: aiohttp.ClientResponse) -> bytes:
    """Return a whole answer; raise `UpstreamFailure` for one beyond `LARGEST_ANSWER` bytes."""
    data = bytearray()
    async for piece in response.content.iter_any():
        data += piece
        if len(data) > LARGEST_ANSWER:
            raise UpstreamFailure("its answer is too large", reached=True)
    return bytes(data)


def _why(error: BaseException) -> str:
    """Return words for a transport error that cannot hold what was sent."""
    name = type(error).__name__
    known = {
        "ClientConnectorDNSError": "its host name has no address",
        "ClientConnectorCertificateError": "its certificate is not trusted",
        "ClientConnectorSSLError": "TLS with it fails",
        "ConnectionTimeoutError": f"it did not accept a connection in {CONNECT_SECONDS:g} s",
        "ServerDisconnectedError": "it closed the connection without an answer",
        "ClientPayloadError": "its answer broke off",
        "ClientOSError": "the connection broke",
    }
    if name in known:
        return known[name]
    if isinstance(error, OSError) and error.strerror:
        return f"no connection ({error.strerror})"
    return f"the request failed ({name})"
