"""An upstream over streamable HTTP, in the modern era or, where it knows no better, the other."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.tools.upstreams.announcements import Announcements
from watchkeeper.tools.upstreams.credentials import Credentials
from watchkeeper.tools.upstreams.dialogue import (
    Listing,
    announces_changes,
    call_parameters,
    notification,
    opening,
    report_progress,
    request,
    take_agreed_version,
    take_call_result,
    take_versions,
)
from watchkeeper.tools.upstreams.egress import LARGEST_ANSWER, Egress, media_type, read_bounded
from watchkeeper.tools.upstreams.events import EventSplitter, EventTooLong, data_of
from watchkeeper.tools.upstreams.model import (
    CallContext,
    Progress,
    Result,
    Sending,
    ToolDefinition,
    UpstreamFailure,
    UpstreamSpec,
)
from watchkeeper.tools.upstreams.protocol import (
    METHOD_HEADER,
    METHOD_NOT_FOUND,
    MODERN_VERSION,
    NAME_HEADER,
    SESSION_HEADER,
    VERSION_HEADER,
    Message,
    RpcError,
    encode_header,
    parameter_headers,
    read_message,
)

if TYPE_CHECKING:
    from aiohttp import ClientResponse

log = logging.getLogger(__name__)

Redact = Callable[[bytes], Awaitable[bytes]]

_ASIDE_SECONDS = 10.0
_LEAVE_SECONDS = 1.0
_OK = 200
_ACCEPTED = 202
_UNAUTHORISED = 401
_NOT_FOUND = 404
_SERVER_ERROR = 500


class _SessionGone(Exception):
    """The server has forgotten the session: it did not act, and a new one may be opened."""


class _TokenRefused(Exception):
    """The server did not act: it does not take the token, and another can be fetched."""


@dataclass(frozen=True, slots=True)
class _Footing:
    """What a server and the plane have agreed on."""

    version: str | None = None
    session: str | None = None

    @property
    def modern(self) -> bool:
        return self.version == MODERN_VERSION


_STRANGERS = _Footing()


class HttpConnection:
    """One upstream MCP server by URL."""

    def __init__(self, spec: UpstreamSpec, egress: Egress, credentials: Credentials) -> None:
        self._spec = spec
        self._credentials = credentials
        self._url = spec.url or ""
        self._egress = egress
        self._numbers = itertools.count(1)
        self._footing = _STRANGERS
        self._shaking = asyncio.Lock()
        self._asides: set[asyncio.Task[None]] = set()
        self._listing: Listing | None = None
        self._announcements = Announcements(spec.name, self._listen)

    async def connect(self) -> None:
        """Agree on a protocol version; raise `UpstreamFailure` when that fails."""
        modern = _Footing(MODERN_VERSION)
        answer, _ = await self._ask(modern, "server/discover", {}, seconds=_ASIDE_SECONDS)
        if MODERN_VERSION in take_versions(answer):
            self._footing = modern
            if announces_changes(answer):
                self._announcements.start()
        else:
            self._footing = await self._shake_hands()

    async def _shake_hands(self) -> _Footing:
        answer, session = await self._ask(
            _STRANGERS, "initialize", opening(), seconds=_ASIDE_SECONDS
        )
        footing = _Footing(take_agreed_version(answer), session)
        await self._tell(footing, "notifications/initialized")
        return footing

    async def list_tools(self) -> dict[str, ToolDefinition]:
        """Return what the server offers; raise `UpstreamFailure` when it does not answer."""
        listing = Listing(self._listing)
        while listing.add(
            await self._ask_again("tools/list", listing.parameters(), seconds=_ASIDE_SECONDS)
        ):
            pass
        tools = await listing.tools()
        self._listing = listing
        return tools

    async def call(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        timeout_seconds: float,
        definition: ToolDefinition | None,
        progress: Progress | None,
        context: CallContext | None,
    ) -> Result:
        """Perform one tool call; raise `UpstreamFailure` when it has no result."""
        headers = {}
        if self._footing.modern and definition is not None and definition.mirrored:
            headers = parameter_headers(definition.mirrored, arguments)
        answer = await self._ask_again(
            "tools/call",
            call_parameters(tool, arguments, 1 if progress else None, context),
            seconds=timeout_seconds,
            headers=headers,
            progress=progress,
            context=context,
        )
        return take_call_result(answer)

    async def wait_lost(self) -> None:
        """Never return: each call connects anew."""
        await asyncio.Event().wait()

    async def wait_changed(self) -> None:
        """Return when the server says that its tools have changed; it can in the modern era."""
        await self._announcements.wait()

    @asynccontextmanager
    async def _listen(self) -> AsyncIterator[ClientResponse]:
        method, wanted = "subscriptions/listen", {"notifications": {"toolsListChanged": True}}
        footing = self._footing
        body = msgspec.json.encode(
            request(next(self._numbers), method, wanted, modern=footing.modern)
        )
        headers = {**await self._headers(footing), METHOD_HEADER: method}
        async with self._egress.post(
            self._url, body, headers, Sending(), allow_private=self._spec.allow_private
        ) as response:
            yield response

    async def is_current(self) -> bool:
        """Return True: the credential is read for each request."""
        return True

    async def close(self, *, now: bool = False) -> bool:
        """End the session, if the server keeps one; a second call does nothing.

        Returns whether there is none any more: the server may not have heard.
        """
        await self._announcements.stop()
        footing, self._footing = self._footing, _STRANGERS
        if footing.session is None:
            return True
        with suppress(TimeoutError, UpstreamFailure, WatchkeeperError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self._egress.delete(
                    self._url,
                    await self._headers(footing),
                    allow_private=self._spec.allow_private,
                )
                return True
        return False

    async def _headers(
        self, footing: _Footing, context: CallContext | None = None
    ) -> dict[str, str]:
        headers = {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            **await self._credentials.headers(self._spec.credential, context),
        }
        if footing.version is not None:
            headers[VERSION_HEADER] = footing.version
        if footing.session is not None:
            headers[SESSION_HEADER] = footing.session
        return headers

    async def _ask_again(self, method: str, params: dict[str, Any], **how: Any) -> Message:
        """Ask; where the server has forgotten our session, open another and ask once more."""
        footing = self._footing
        try:
            answer, _ = await self._ask(footing, method, params, **how)
            return answer
        except _SessionGone:
            async with self._shaking:
                if self._footing == footing:
                    self._footing = await self._shake_hands()
        try:
            answer, _ = await self._ask(self._footing, method, params, **how)
            return answer
        except _SessionGone:
            raise UpstreamFailure("it keeps losing its sessions", reached=False) from None

    async def _ask(
        self, footing: _Footing, method: str, params: dict[str, Any], **how: Any
    ) -> tuple[Message, str | None]:
        """Return the answer to one request and the session that the server keeps for us.

        A server that does not take the token has not acted: it is asked once more with a fresh
        one, where one can be fetched.
        """
        try:
            return await self._ask_once(footing, method, params, **how)
        except _TokenRefused:
            pass
        try:
            return await self._ask_once(footing, method, params, **how)
        except _TokenRefused:
            raise UpstreamFailure(
                "it refused with HTTP 401, a fresh token too", reached=False
            ) from None

    async def _ask_once(
        self,
        footing: _Footing,
        method: str,
        params: dict[str, Any],
        *,
        seconds: float,
        headers: Mapping[str, str] | None = None,
        progress: Progress | None = None,
        context: CallContext | None = None,
    ) -> tuple[Message, str | None]:
        number = next(self._numbers)
        body = msgspec.json.encode(request(number, method, params, modern=footing.modern))
        sent_headers = {**await self._headers(footing, context), **(headers or {})}
        if footing.modern:
            sent_headers[METHOD_HEADER] = method
            if method == "tools/call":
                sent_headers[NAME_HEADER] = encode_header(params["name"])
        sending = Sending()
        try:
            async with (
                asyncio.timeout(seconds),
                self._egress.post(
                    self._url, body, sent_headers, sending,
                    allow_private=self._spec.allow_private,
                ) as response,
            ):  # fmt: skip
                if response.status == _UNAUTHORISED and self._credentials.refused(
                    self._spec.credential, sent_headers
                ):
                    raise _TokenRefused
                if response.status == _NOT_FOUND and footing.session is not None:
                    raise _SessionGone
                session = response.headers.get(SESSION_HEADER)
                redact = partial(self._credentials.redact, self._spec.credential, sent_headers)
                return await _take(response, number, method, progress, redact), session
        except TimeoutError:
            raise UpstreamFailure(
                f"it did not answer in {seconds:g} s", reached=sending.sent
            ) from None
        except asyncio.CancelledError:
            if sending.sent and not footing.modern and method == "tools/call":
                self._withdraw(footing, number)
            raise

    def _withdraw(self, footing: _Footing, number: int) -> None:
        """Tell a handshake-era server that nobody waits: there, hanging up says nothing."""
        task = asyncio.ensure_future(
            self._tell(footing, "notifications/cancelled", {"requestId": number})
        )
        self._asides.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._asides.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.info("upstream %s did not take a withdrawal", self._spec.name)

    async def _tell(
        self, footing: _Footing, method: str, params: Mapping[str, Any] | None = None
    ) -> None:
        body = msgspec.json.encode(notification(method, params))
        headers = await self._headers(footing)
        try:
            async with (
                asyncio.timeout(_ASIDE_SECONDS),
                self._egress.post(
                    self._url, body, headers, Sending(), allow_private=self._spec.allow_private
                ) as response,
            ):
                await response.content.readany()
        except TimeoutError:
            raise UpstreamFailure(
                f"it did not take {method} in {_ASIDE_SECONDS:g} s", reached=False
            ) from None


async def _take(
    response: ClientResponse,
    number: int,
    method: str,
    progress: Progress | None,
    redact: Redact,
) -> Message:
    status = response.status
    kind = media_type(response)
    if kind == "text/event-stream" and status == _OK:
        return await _take_stream(response, number, progress, redact)
    data = await redact(await read_bounded(response))
    message = None
    if kind == "application/json":
        with suppress(ValueError):
            message = read_message(data)
    if message is not None and (message.error is not None or status == _OK):
        if message.id != number and (message.id is not None or message.error is None):
            raise UpstreamFailure("it answered another request than was sent", reached=True)
        return message
    if method == "server/discover":
        # whatever a server of the other era makes of it, it is no reason to give up
        return Message(id=number, error=RpcError(METHOD_NOT_FOUND, f"HTTP {status}"))
    if status == _OK:
        raise UpstreamFailure("its answer is no JSON-RPC message", reached=True)
    if status == _ACCEPTED:
        raise UpstreamFailure("it acknowledged the request without a result", reached=True)
    if status >= _SERVER_ERROR:
        raise UpstreamFailure(f"it answered HTTP {status}", reached=True)
    raise UpstreamFailure(f"it refused with HTTP {status}", reached=False)


async def _take_stream(
    response: ClientResponse, number: int, progress: Progress | None, redact: Redact
) -> Message:
    splitter = EventSplitter(LARGEST_ANSWER)
    try:
        async for piece in response.content.iter_any():
            for event in splitter.feed(piece):
                data = data_of(event)
                if not data:
                    continue
                message = read_message(await redact(data))
                if message.id == number and message.method is None:
                    return message
                report_progress(message, progress)
                await asyncio.sleep(0)  # who says a lot is not listened to alone
    except EventTooLong:
        raise UpstreamFailure("its answer is too large", reached=True) from None
    except ValueError:
        raise UpstreamFailure("its stream is malformed", reached=True) from None
    raise UpstreamFailure("its stream ended without an answer", reached=True)
