"""The one client to the outside: declared places only, no redirects, cookies or proxies.

A request goes to the declared place, at an address that was checked (`connecting`), or nowhere;
and its caller learns whether the server may have seen it.
"""

from __future__ import annotations

import asyncio
import importlib
import io
import os
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from watchkeeper.core.addresses import Place, place_of
from watchkeeper.core.errors import Invalid, Unavailable
from watchkeeper.tools.upstreams.model import Sending, UpstreamFailure

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

    from watchkeeper.tools.upstreams.connecting import Lookup
    from watchkeeper.tools.upstreams.unary import Answered

CONNECT_SECONDS = 5.0
LARGEST_ANSWER = 16 * 1024 * 1024
USUAL_JSON = 1024 * 1024
JSON_SECONDS = 10.0
_OK = 200
_PLAIN = "identity"
_LARGE = 64 * 1024
"""Bytes of a body that are written at once; the rest waits until the server takes them."""
_KEEP_ALIVE_SECONDS = 3.0  # below what servers use, so that none closes under a request
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What would end a header and begin another."""

_sending: ContextVar[Sending] = ContextVar("sending")
"""Of the request that this task sends next."""


def _mark_sent() -> None:
    _sending.get().sent = True


class Egress:
    """Two pools of connections, of which one may reach inside; use it on one loop.

    `declares` tells whether a `scheme://host:port` is one that a document or setting names;
    without it, every place is. `lookup` stands for the system's resolver.
    """

    def __init__(
        self,
        connections: int = 384,
        *,
        declares: Callable[[str], bool] | None = None,
        lookup: Lookup | None = None,
    ) -> None:
        self._connections = connections
        self._declares = declares
        self._lookup = lookup
        self._sessions: dict[bool, ClientSession] = {}
        self._opening = asyncio.Lock()

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        sending: Sending,
        allow_private: bool,
    ) -> ClientResponse:
        """Send one request; the first loads the client library off the loop."""
        inside = allow_private or self._place_of(url).declared_local
        session = self._sessions.get(inside)
        if session is None:
            async with self._opening:
                await asyncio.to_thread(
                    importlib.import_module, "watchkeeper.tools.upstreams.connecting"
                )
                session = self._sessions.get(inside)
                if session is None:
                    session = self._sessions[inside] = self._open(inside)
        if _CONTROL.search("".join([*headers, *headers.values()])):
            raise UpstreamFailure("a header for it has a control character in it", reached=False)
        _sending.set(sending)
        data = io.BytesIO(body) if body is not None and len(body) > _LARGE else body
        return await session.request(
            method,
            url,
            data=data,
            headers={"accept-encoding": _PLAIN, **headers},
            allow_redirects=False,
        )

    async def call(
        self,
        url: str,
        method: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        allow_private: bool,
        largest: int,
        seconds: float,
    ) -> Answered:
        """Call a method by gRPC, on a connection of its own; `largest`: of the answer, in bytes.

        Raises `UpstreamFailure` where nothing may be called there.
        """
        place = self._place_of(url)
        load = importlib.import_module
        unary: Any = await asyncio.to_thread(load, "watchkeeper.tools.upstreams.unary")
        connecting: Any = await asyncio.to_thread(load, "watchkeeper.tools.upstreams.connecting")
        found: Answered = await unary.call(
            place,
            method,
            body,
            headers,
            allow_private=allow_private or place.declared_local,
            lookup=self._lookup or connecting.system_lookup,
            largest=largest,
            seconds=seconds,
        )
        return found

    def _place_of(self, url: str) -> Place:
        """Return where a URL leads; raise `UpstreamFailure` where no request may go."""
        try:
            place = place_of(url)
        except Invalid as error:
            raise UpstreamFailure(error.message, reached=False) from None
        if self._declares is not None and not self._declares(place.origin):
            raise UpstreamFailure(f"no document declares {place.origin}", reached=False)
        return place

    def _open(self, inside: bool) -> ClientSession:
        import aiohttp

        from watchkeeper.tools.upstreams.connecting import checked_connector, system_lookup

        return aiohttp.ClientSession(
            connector=checked_connector(
                self._lookup or system_lookup,
                connections=self._connections,
                allow_private=inside,
                keep_alive_seconds=_KEEP_ALIVE_SECONDS,
                # from here on nobody here knows what the server has seen
                connected=_mark_sent,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            trust_env=False,
            # a kilobyte may unpack to a megabyte: what is compressed is read by nobody
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        )

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        sending: Sending,
        *,
        body: bytes | None = None,
        allow_private: bool = False,
    ) -> Exchange:
        """Send one request and give its response; leaving the block early aborts it.

        Raises `UpstreamFailure` when there is no response, or when it breaks off inside the
        block. A redirect is handed back as it is, never followed. `allow_private`: whether the
        document that declares the URL lets its host name lead inside a private network.
        """
        return Exchange(self, method, url, headers, body, sending, allow_private)

    def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        sending: Sending,
        *,
        allow_private: bool = False,
    ) -> Exchange:
        """Send one POST, as :meth:`request` does."""
        return self.request("POST", url, headers, sending, body=body, allow_private=allow_private)

    async def delete(
        self, url: str, headers: Mapping[str, str], *, allow_private: bool = False
    ) -> None:
        """Send one DELETE; raise `UpstreamFailure` when it has no response."""
        async with self.request("DELETE", url, headers, Sending(), allow_private=allow_private):
            pass

    async def close(self) -> None:
        """Close every connection."""
        while self._sessions:
            await self._sessions.popitem()[1].close()


class Exchange:
    """One request, sent as the block is entered, and its response, let go as it is left."""

    __slots__ = ("_egress", "_request", "_response", "_sending")

    def __init__(
        self,
        egress: Egress,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        sending: Sending,
        allow_private: bool,
    ) -> None:
        self._egress = egress
        self._request = (method, url, headers, body, sending, allow_private)
        self._sending = sending
        self._response: ClientResponse | None = None

    async def __aenter__(self) -> ClientResponse:
        try:
            response = await self._egress.send(*self._request)
        except Exception as error:
            self._tell(error)
            raise
        _forbid_compressed(response)
        self._response = response
        return response

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        assert self._response is not None, "it was entered"
        self._response.release()
        if error is not None:
            self._tell(error)

    def _tell(self, error: BaseException) -> None:
        """Raise `UpstreamFailure` for what went wrong on the way; pass over all else."""
        import aiohttp

        if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.InvalidURL)):
            raise UpstreamFailure(_why(error), reached=False) from None
        if isinstance(error, (aiohttp.ClientError, OSError)):
            raise UpstreamFailure(_why(error), reached=self._sending.sent) from None


@dataclass(frozen=True, slots=True)
class JsonAnswer:
    """An answer in JSON: its status, and the value; None where it is not JSON."""

    status: int
    value: Any


async def ask_json(
    egress: Egress,
    url: str,
    *,
    allow_private: bool = False,
    method: str = "GET",
    body: Any = None,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    limit: int = USUAL_JSON,
) -> JsonAnswer:
    """Send `body` as JSON or `form` as fields to a declared URL; return whatever it answers.

    `limit` is the most bytes of an answer, which may take `JSON_SECONDS` in all. Raises
    `Unavailable` when there is no answer; nothing that was sent is in the message.
    """
    sent = {"accept": "application/json", **(headers or {})}
    data: bytes | None = None
    if form is not None:
        data = urlencode(form).encode()
        sent["content-type"] = "application/x-www-form-urlencoded"
    elif body is not None:
        data = msgspec.json.encode(body)
        sent["content-type"] = "application/json"
    try:
        async with (
            asyncio.timeout(JSON_SECONDS),
            egress.request(
                method, url, sent, Sending(), body=data, allow_private=allow_private
            ) as response,
        ):
            raw = await read_bounded(response, limit)
            status = response.status
    except UpstreamFailure as failure:
        raise Unavailable(failure.message, where=_shown(url)) from None
    except TimeoutError:
        raise Unavailable(f"it did not answer in {JSON_SECONDS:g} s", where=_shown(url)) from None
    try:
        return JsonAnswer(status, msgspec.json.decode(raw))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return JsonAnswer(status, None)


async def fetch_json(egress: Egress, url: str, *, allow_private: bool = False) -> Any:
    """Return the JSON value that a declared URL answers with status 200; as :func:`ask_json`.

    Raises `Unavailable` for another status, or for what is no JSON.
    """
    answer = await ask_json(egress, url, allow_private=allow_private)
    if answer.status != _OK:
        raise Unavailable(f"it answered HTTP {answer.status}", where=_shown(url))
    if answer.value is None:
        raise Unavailable("its answer is no JSON", where=_shown(url))
    return answer.value


def _shown(url: str) -> str:
    """Return where a URL leads without its query, which may hold what is nobody's business."""
    return url.partition("?")[0][:200]


def _forbid_compressed(response: ClientResponse) -> None:
    """Have whoever reads an answer that is compressed, though nothing asked for that, fail.

    What it says in its head stands.
    """
    encoding = response.headers.get("content-encoding", _PLAIN).strip().lower()
    if encoding not in (_PLAIN, ""):
        why = "its answer is compressed, which was not asked for"
        response.content.set_exception(UpstreamFailure(why, reached=True))


def media_type(response: ClientResponse) -> str:
    """Return an answer's media type without parameters, in lower case, empty where it has none.

    The library's own reading of it takes half a second where that is what the server wants.
    """
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_bounded(response: ClientResponse, limit: int = LARGEST_ANSWER) -> bytes:
    """Return a whole answer; raise `UpstreamFailure` for one beyond `limit` bytes."""
    content, pieces, size = response.content, [], 0
    while piece := await content.readany():
        size += len(piece)
        if size > limit:
            raise UpstreamFailure("its answer is too large", reached=True)
        pieces.append(piece)
        if content.at_eof():
            break
    return b"".join(pieces)


def _why(error: BaseException) -> str:
    """Return words for a transport error that cannot hold what was sent."""
    cause = getattr(error, "os_error", None) or error
    if type(cause).__name__ == "AddressRefused":
        return str(cause.args[1])
    name = type(error).__name__
    known = {
        "ClientConnectorDNSError": "its host name has no address",
        "ClientConnectorCertificateError": "its certificate is not trusted",
        "ClientConnectorSSLError": "TLS with it fails",
        "ConnectionTimeoutError": f"it did not accept a connection in {CONNECT_SECONDS:g} s",
        "ServerDisconnectedError": "it closed the connection without an answer",
        "ClientPayloadError": "its answer broke off",
        "ClientOSError": "the connection broke",
        "ClientResponseError": "its answer is no HTTP",
        "NotHttp": "its answer is no HTTP",
    }
    if name in known:
        return known[name]
    if isinstance(error, OSError) and error.errno:
        # the system's words: the error's own are the library's, with its address in them
        return f"no connection ({os.strerror(error.errno).lower()})"
    return f"the request failed ({name})"
