"""One call of a provider: sent, passed back as it comes, metered however it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.decide.flight import InFlight
from watchkeeper.gateways.http import CallerWatch, header_value
from watchkeeper.gateways.model.dialect import Dialect, ModelCall
from watchkeeper.gateways.model.errors import ModelError, decision_headers, stopped
from watchkeeper.gateways.model.health import ProviderHealth
from watchkeeper.gateways.model.route import Route
from watchkeeper.gateways.performing import Performed
from watchkeeper.tools.upstreams.credentials import Credentials
from watchkeeper.tools.upstreams.egress import LARGEST_ANSWER, Egress, Sending, read_bounded
from watchkeeper.tools.upstreams.events import EventSplitter, EventTooLong, data_of
from watchkeeper.tools.upstreams.model import UpstreamFailure
from watchkeeper.wire.decisions import LARGEST_USAGE, Outcome, OutcomeStatus, Usage

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger(__name__)

_LAST_WORD_SECONDS = 0.2
_OK = 200
_TOO_MANY = 429
_UNAUTHORISED = 401
_CALLERS_FAULT = frozenset({400, 413, 422})
_ESTIMATED = "usage is an estimate: the provider reported none"


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer to be sent in one piece."""

    status: int
    body: bytes
    kind: str
    headers: tuple[tuple[bytes, bytes], ...]


Made = Whole | ModelError | None
"""What is left to send; None when a stream said it all."""


class ProviderCall:
    """Performs one permitted call of a model, whatever its protocol."""

    def __init__(
        self,
        egress: Egress,
        credentials: Credentials,
        route: Route,
        dialect: Dialect,
        call: ModelCall,
        *,
        decision: str,
        warnings: Sequence[str] = (),
        ceiling: int | None,
        health: ProviderHealth,
        watch: CallerWatch,
        send: Any,
    ) -> None:
        self._egress = egress
        self._credentials = credentials
        self._route = route
        self._dialect = dialect
        self._call = call
        self._decision = decision
        self._warnings = warnings
        self._ceiling = ceiling
        self._health = health
        self._watch = watch
        self._send = send
        self._meter = call.meter(call.most_input_tokens(route.context_window), ceiling or 0)
        self._sending = Sending()
        self._streaming = False
        self._events = 0

    async def perform(self, flight: InFlight) -> Performed[Made]:
        """Call the provider; whatever happens, return what to send and what it cost."""
        try:
            return await self._attempts()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            return await self._cut_off(flight)
        except UpstreamFailure as error:
            return await self._fail(error.message)
        except TimeoutError:
            return await self._fail(f"it was silent for {self._route.timeout_seconds:g} s")
        except WatchkeeperError as error:
            log.warning("provider %s cannot be called: %s", self._route.provider, error)
            return await self._fail("the plane's credential for it is missing")

    async def _attempts(self) -> Performed[Made]:
        """Send it; where a fetched token is refused, which is before anything ran, once anew."""
        made = await self._send_once(last=False) or await self._send_once(last=True)
        assert made is not None, "the last attempt always ends"
        return made

    async def _send_once(self, *, last: bool) -> Performed[Made] | None:
        """Return how it ended, or None to be called again with another token."""
        self._sending = Sending()
        body = self._call.forwarded(self._route.provider_model, self._ceiling)
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream" if self._call.stream else "application/json",
            **self._call.headers,
            **await self._credentials.headers(self._route.credential),
        }
        url = self._route.base_url.rstrip("/") + self._dialect.path
        async with (
            asyncio.timeout(self._route.timeout_seconds) as silence,
            self._egress.post(
                url, body, headers, self._sending, allow_private=self._route.allow_private
            ) as response,
        ):
            if (
                response.status == _UNAUTHORISED
                and self._credentials.refused(self._route.credential, headers)
                and not last
            ):
                return None
            if response.status == _OK and response.content_type == "text/event-stream":
                return await self._stream(response, silence)
            data = await read_bounded(response)
            data = await self._credentials.redact(self._route.credential, headers, data)
            return self._take_whole(response, data)

    def _take_whole(self, response: aiohttp.ClientResponse, body: bytes) -> Performed[Made]:
        status = response.status
        if status == _OK or status in _CALLERS_FAULT:
            self._health.note(self._route.provider, None)
            if status == _OK:
                self._meter.take(body, whole=True)
            made = Whole(
                status, body, response.headers.get("content-type", "application/json"),
                tuple(self._passed(response.headers)),
            )  # fmt: skip
            if status == _OK:
                return Performed(made, self._outcome("succeeded", None))
            why = f"provider {self._route.provider} refused with HTTP {status}"
            return Performed(made, Outcome(status="failed", error=why))
        error = self._refusal(response)
        return Performed(error, Outcome(status="failed", error=error.message))

    def _refusal(self, response: aiohttp.ClientResponse) -> ModelError:
        status, provider = response.status, self._route.provider
        if status == _TOO_MANY:
            after = response.headers.get("retry-after")
            return ModelError(
                _TOO_MANY, "watchkeeper_provider", "provider_rate_limit",
                f"provider {provider} limits the rate of calls", retry=None,
                headers=((b"retry-after", header_value(after)),) if after else (),
            )  # fmt: skip
        self._health.note(provider, f"it answered HTTP {status}")
        return _unavailable(f"provider {provider} answered HTTP {status}")

    async def _stream(
        self, response: aiohttp.ClientResponse, silence: asyncio.Timeout
    ) -> Performed[Made]:
        task = asyncio.current_task()
        self._watch.start()
        gone = asyncio.ensure_future(self._watch.gone.wait())
        gone.add_done_callback(lambda done: done.cancelled() or (task and task.cancel()))
        loop = asyncio.get_running_loop()
        redact = self._credentials.known.redact_known
        try:
            await self._begin(response)
            splitter = EventSplitter(LARGEST_ANSWER)
            async for piece in response.content.iter_any():
                silence.reschedule(loop.time() + self._route.timeout_seconds)
                events = [redact(event) for event in splitter.feed(piece)]
                passed = b"".join(event for event in events if self._passes(event))
                if passed:
                    await self._push(passed)
            rest = redact(splitter.rest())
            if rest and self._passes(rest):
                await self._push(rest)
        except EventTooLong:
            raise UpstreamFailure("an event of its stream is too large", reached=True) from None
        finally:
            gone.cancel()
        if not self._meter.done and self._meter.failure is None:
            raise UpstreamFailure("its stream ended before it was complete", reached=True)
        await self._end(b"")
        if self._meter.failure is not None:
            why = f"it ended its stream with an error: {self._meter.failure[:300]}"
            self._health.note(self._route.provider, why)
            message = f"provider {self._route.provider}: {why}"
            return Performed(None, self._outcome("failed", message))
        self._health.note(self._route.provider, None)
        return Performed(None, self._outcome("succeeded", None))

    def _passes(self, event: bytes) -> bool:
        """Count an event; tell whether the caller is to have it."""
        data = data_of(event)
        passes = not data or self._meter.take(data, whole=False)
        self._events += bool(data and passes)
        return passes

    async def _cut_off(self, flight: InFlight) -> Performed[Made]:
        if flight.cancelled is None and self._watch.gone.is_set():
            return Performed(None, self._outcome("unknown", "the caller hung up"))
        error = stopped(flight.cancelled)
        return await self._give_up(error, self._outcome("unknown", error.message))

    async def _fail(self, why: str) -> Performed[Made]:
        self._health.note(self._route.provider, why)
        message = f"provider {self._route.provider}: {why}"
        outcome = (
            self._outcome("failed", message)
            if self._sending.sent
            else Outcome(status="failed", error=message)
        )
        return await self._give_up(_unavailable(message), outcome)

    async def _give_up(self, error: ModelError, outcome: Outcome) -> Performed[Made]:
        if not self._streaming:
            return Performed(error, outcome)
        # a caller that does not read must not delay a kill
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORD_SECONDS):
                await self._end(self._dialect.errors.event(error, self._events))
        return Performed(None, outcome)

    def _outcome(self, status: OutcomeStatus, error: str | None) -> Outcome:
        usage = self._priced(self._meter.usage()) if self._sending.sent else Usage()
        notes = [error] if error else []
        if self._meter.estimated:
            notes.append(_ESTIMATED)
        return Outcome(status=status, usage=usage, error="; ".join(notes)[:1000] or None)

    def _priced(self, usage: Usage) -> Usage:
        cost = self._route.cost_micros(usage)
        return usage.model_copy(update={"cost_micros": min(cost, LARGEST_USAGE)})

    def _passed(self, headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
        return decision_headers(self._decision, self._warnings) + [
            (name.encode(), header_value(self._credentials.known.redact_text(headers[name])))
            for name in self._dialect.passed_headers
            if name in headers
        ]

    async def _begin(self, response: aiohttp.ClientResponse) -> None:
        kind = response.headers.get("content-type", "text/event-stream")
        head = [
            (b"content-type", header_value(kind)),
            (b"cache-control", b"no-cache, no-transform"),
            *self._passed(response.headers),
        ]
        self._streaming = True
        await self._send({"type": "http.response.start", "status": _OK, "headers": head})

    async def _push(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def _end(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": False})


def _unavailable(message: str) -> ModelError:
    return ModelError(502, "watchkeeper_provider", "provider_unavailable", message, retry=None)
