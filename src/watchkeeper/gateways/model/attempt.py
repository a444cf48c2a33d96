"""One sending of a model call to one provider: passed back as it comes, metered as it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.core.tracing import TRACEPARENT
from watchkeeper.gateways.http import header_value
from watchkeeper.gateways.model.dialect import Dialect, ModelCall
from watchkeeper.gateways.model.errors import ModelError
from watchkeeper.gateways.model.passing import Headers, Receiver
from watchkeeper.gateways.model.providers import Fault, Providers
from watchkeeper.gateways.model.route import Route
from watchkeeper.tools.upstreams.egress import LARGEST_ANSWER, media_type, read_bounded
from watchkeeper.tools.upstreams.events import EventSplitter, EventTooLong, data_of
from watchkeeper.tools.upstreams.model import Sending, UpstreamFailure
from watchkeeper.wire.decisions import Usage

if TYPE_CHECKING:
    from aiohttp import ClientResponse

log = logging.getLogger(__name__)

_OK = 200
_UNAUTHORISED = 401
_NOT_FOUND = 404
_TOO_MANY = 429
_SERVERS = 500
_CALLERS_FAULT = frozenset({400, 413, 422})
"""Another provider would say the same: the answer goes to the caller as it is."""
_AGAIN = frozenset({408, 409, 425, _TOO_MANY})
"""With all from 500 on: what may go well when it is sent again."""
_MAYBE_DONE = frozenset({408, 502, 504, 524})
"""Said by what stands before a model: it may have generated an answer that nobody got."""
_LINGER_SECONDS = 1.0
"""How long the connection may stay open after the last event of a stream."""
_AT_ONCE = 8 * 1024
"""Bytes of a stream: others have their turn after so many, however many events they hold."""
_LARGE = 128 * 1024
"""Bytes of a call that is written for its provider beside the event loop."""
_REFUSED = frozenset({_UNAUTHORISED, 403})
"""What no other call of the provider will be spared."""


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer to be sent in one piece."""

    status: int
    body: bytes
    kind: str
    headers: tuple[tuple[bytes, bytes], ...]


class Failure(Exception):
    """An attempt that brought no answer."""

    def __init__(
        self,
        error: ModelError,
        *,
        again: bool = False,
        lasting: bool = False,
        after_seconds: float | None = None,
        fault: Fault = "provider",
    ) -> None:
        super().__init__(error.message)
        self.error = error
        """What the caller is told where it was the last."""
        self.again = again
        """Whether the same provider may do better."""
        self.lasting = lasting
        """Whether the provider will not do better by itself."""
        self.after_seconds = after_seconds
        """When to come back, as the provider says."""
        self.fault = fault


class Attempt:
    """Sends a call once (where a fetched token is refused, which is before anything ran, twice)."""

    def __init__(
        self,
        providers: Providers,
        route: Route,
        dialect: Dialect,
        call: ModelCall,
        *,
        ceiling: int | None,
        without: frozenset[str],
        receiver: Receiver,
        head: Callable[[Route, Mapping[str, str]], Headers],
        traceparent: str,
    ) -> None:
        self.route = route
        self._providers = providers
        self._dialect = dialect
        self._call = call
        self._ceiling = ceiling
        self._without = without
        self._receiver = receiver
        self._head = head
        self._traceparent = traceparent
        self._most_input = call.most_input_tokens(route.context_window, without)
        self._most_output = ceiling or 0
        self.meter = call.meter(self._most_input, self._most_output)
        self._sending = Sending()
        self._answered = False
        """Whether there was an answer to its end; then nothing is left to be billed for."""
        self._passing = False
        """Whether the caller is waited for, not the provider."""
        self._loop = asyncio.get_running_loop()
        self.first_token_at: float | None = None
        """In seconds of the loop's clock."""
        self.events = 0
        """Passed on, without comments."""

    def usage(self) -> Usage:
        """Return what it used, priced: what the provider said; nothing where nothing was sent
        or it was refused; all that it could use where nobody knows.
        """
        if not self._sending.sent:
            return Usage()
        if self._answered or self._receiver.begun or not self.meter.estimated:
            return self.route.priced(self.meter.usage())
        return self.route.most(
            self._most_input, self._most_output, writes_cache=self._call.writes_cache
        )

    async def perform(self, *, again: bool) -> Whole | None:
        """Return a whole answer, or None once a stream was passed on to its end.

        `again`: the same provider was sent the call before. Raises `Failure`.
        """
        began = self._loop.time()
        noted = self._providers.begin(self.route, again=again)
        try:
            made = await self._perform()
        except Failure as failure:
            noted.failed(
                failure.error.message, failure.fault, failure.lasting, failure.after_seconds or 0.0
            )
            raise
        except BaseException:
            noted.dropped()
            raise
        if self.meter.failure is not None:
            why = f"it ended its answer with an error: {self.meter.failure}"
            noted.failed(why, "provider", False, 0.0)
        else:
            first = self.first_token_at
            noted.well(self._loop.time() - began, None if first is None else first - began)
        return made

    async def _perform(self) -> Whole | None:
        name = self.route.provider
        try:
            refused = await self._send(last=False)
            return await self._send(last=True) if refused is _ANEW else refused
        except UpstreamFailure as error:
            raise self._failed(error.message, again=not self._receiver.begun) from None
        except TimeoutError:
            seconds = self.route.timeout_seconds
            if self._passing:
                why = f"the caller did not read its answer for {seconds:g} s"
                slow = ModelError(504, "watchkeeper_error", "slow_reader", why)
                raise Failure(slow, fault="caller") from None
            raise self._failed(f"it was silent for {seconds:g} s", again=True) from None
        except WatchkeeperError as error:
            log.warning("provider %s cannot be called: %s", name, error)
            why = "the plane's credential for it is missing"
            raise self._failed(why, lasting=True) from None

    async def _send(self, *, last: bool) -> Whole | None:
        """Return a whole answer, None once a stream has ended, `_ANEW` to be called again."""
        route, credentials = self.route, self._providers.credentials
        self._sending = Sending()
        written = partial(self._call.forwarded, route.provider_model, self._ceiling, self._without)
        body = await asyncio.to_thread(written) if self._call.size > _LARGE else written()
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream" if self._call.stream else "application/json",
            TRACEPARENT: self._traceparent,
            **self._call.headers_for(route.context_window),
            **await credentials.headers(route.credential),
        }
        url = route.base_url.rstrip("/") + self._dialect.path
        async with (
            asyncio.timeout(route.timeout_seconds) as silence,
            self._providers.egress.post(
                url, body, headers, self._sending, allow_private=route.allow_private
            ) as response,
        ):
            if (
                response.status == _UNAUTHORISED
                and credentials.refused(route.credential, headers)
                and not last
            ):
                return _ANEW
            if response.status == _OK and media_type(response) == "text/event-stream":
                await self._stream(response, silence)
                return None
            data = await read_bounded(response)
            data = await credentials.redact(route.credential, headers, data)
            return self._take_whole(response, data)

    def _take_whole(self, response: ClientResponse, body: bytes) -> Whole:
        status = response.status
        if status == _OK:
            self._answered = True
            self.meter.take(body, whole=True)
        elif status in _CALLERS_FAULT:
            self._sending.sent = False
        else:
            raise self._refusal(response)
        kind = self._kind(response, "application/json")
        return Whole(status, body, kind, tuple(self._head(self.route, response.headers)))

    def _kind(self, response: ClientResponse, usual: str) -> str:
        """Return an answer's media type as a header of the plane's may have it."""
        said = response.headers.get("content-type", usual)
        return header_value(self._providers.credentials.known.redact_text(said)).decode()

    def _refusal(self, response: ClientResponse) -> Failure:
        status, name = response.status, self.route.provider
        # what was refused is not billed
        self._sending.sent = status in _MAYBE_DONE
        after = response.headers.get("retry-after")
        if status == _TOO_MANY:
            if after is not None:
                after = self._providers.credentials.known.redact_text(after)
            error = ModelError(
                _TOO_MANY, "watchkeeper_provider", "provider_rate_limit",
                f"provider {name} limits the rate of calls", retry=None,
                headers=((b"retry-after", header_value(after)),) if after else (),
            )  # fmt: skip
            return Failure(error, again=True, after_seconds=_seconds(after), fault="limit")
        return self._failed(
            f"it answered HTTP {status}",
            again=status in _AGAIN or status >= _SERVERS,
            lasting=status in _REFUSED,
            fault="model" if status == _NOT_FOUND else "provider",
            after_seconds=_seconds(after),
        )

    async def _stream(self, response: ClientResponse, silence: asyncio.Timeout) -> None:
        loop, seconds = self._loop, self.route.timeout_seconds
        splitter = EventSplitter(LARGEST_ANSWER)
        until: float | None = None
        last = b""
        try:
            while piece := await _next_piece(response, until):
                silence.reschedule(loop.time() + seconds)
                for start in range(0, len(piece), _AT_ONCE):
                    if start:
                        await asyncio.sleep(0)
                    events = splitter.feed(piece[start : start + _AT_ONCE])
                    last = self._take_events(events)
                    if start + _AT_ONCE < len(piece) or not response.content.at_eof():
                        await self._pass_on(last, response)
                        last = b""
                if until is None and self.meter.done and self.events:
                    until = loop.time() + min(_LINGER_SECONDS, seconds / 2)
            rest = self._providers.credentials.known.redact_known(splitter.rest())
            if rest and self._passes(rest):
                last += rest
        except EventTooLong:
            raise UpstreamFailure("an event of its stream is too large", reached=True) from None
        if not self.meter.done and self.meter.failure is None:
            await self._pass_on(last, response)
            raise UpstreamFailure("its stream ended before it was complete", reached=True)
        await self._pass_on(last, response, ends=True)

    def _take_events(self, events: list[bytes]) -> bytes:
        """Count whole events; return those that the caller is to have."""
        redact, whole = self._providers.credentials.known.redact_known, b"".join(events)
        if redact(whole) is not whole:
            events = [redact(event) for event in events]
            whole = b"".join(events)
        passed = [one for one in events if self._passes(one)]
        return whole if len(passed) == len(events) else b"".join(passed)

    async def _pass_on(self, data: bytes, response: ClientResponse, *, ends: bool = False) -> None:
        """Pass events on; with `ends` they are the last of an answer that is complete."""
        if not (data or ends):
            return
        if not self._receiver.begun:
            if data and self.meter.failure is not None and not self._said_anything():
                # it failed before it said anything, so nothing is billed and others may answer
                self._sending.sent = False
                why = f"it began with an error: {self.meter.failure}"
                raise UpstreamFailure(why, reached=True)
            await self._begin(response)
        if self.first_token_at is None and self.events:
            self.first_token_at = self._loop.time()
        self._answered = ends
        self._passing = True
        await (self._receiver.end(data) if ends else self._receiver.push(data))
        self._passing = False

    def _said_anything(self) -> bool:
        """Tell whether some of an answer came, which may have been billed."""
        fresh = self._call.meter(self._most_input, self._most_output).usage()
        return self.meter.usage().output_tokens > fresh.output_tokens

    async def _begin(self, response: ClientResponse) -> None:
        kind = self._kind(response, "text/event-stream")
        await self._receiver.begin(kind, self._head(self.route, response.headers))

    def _passes(self, event: bytes) -> bool:
        """Count an event; tell whether the caller is to have it."""
        data = data_of(event)
        if not data:
            return True
        passes = self.meter.take(data, whole=False)
        self.events += passes
        return passes

    def _failed(
        self,
        why: str,
        *,
        again: bool = False,
        lasting: bool = False,
        after_seconds: float | None = None,
        fault: Fault = "provider",
    ) -> Failure:
        message = f"provider {self.route.provider}: {why}"
        error = ModelError(502, "watchkeeper_provider", "provider_unavailable", message, retry=None)
        return Failure(
            error, again=again, lasting=lasting, after_seconds=after_seconds, fault=fault
        )


_ANEW = Whole(_UNAUTHORISED, b"", "", ())
"""Stands for an answer that a fetched token was refused with."""


async def _next_piece(response: ClientResponse, until: float | None) -> bytes:
    """Return what comes next of a stream, nothing at its end. `until`: its last event came, and
    how it ends after that, in the loop's time, matters to nobody.
    """
    if until is None:
        return await response.content.readany()
    import aiohttp

    try:
        async with asyncio.timeout_at(until):
            return await response.content.readany()
    except (TimeoutError, aiohttp.ClientError, OSError):
        return b""


def _seconds(after: str | None) -> float | None:
    """Read ``Retry-After`` in seconds; a date there, which few use, counts as none."""
    if after is None or not (after.isascii() and after.isdecimal() and len(after) < 10):
        return None
    return float(after)
