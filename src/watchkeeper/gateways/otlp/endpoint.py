"""``POST /v1/traces``, ``/v1/logs`` and ``/v1/metrics``: OTLP/HTTP, in protobuf or JSON.

Stock exporters are given the plane's own address (`OTEL_EXPORTER_OTLP_ENDPOINT`) and a token of
the agent. An answer is given once everything of it is stored. A process apart reads what comes;
the plane writes it in small parts, with decisions between them, one request after the other.
Where too many wait, exporters are told to come again.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from contextlib import aclosing
from types import ModuleType
from typing import Any

from watchkeeper.core.errors import (
    Invalid,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
    WatchkeeperError,
)
from watchkeeper.decide.telemetry.meter import MOST_IN_HAND, MOST_OF_ONE
from watchkeeper.decide.telemetry.senders import Sender
from watchkeeper.decide.telemetry.taking import Intake, Telemetry
from watchkeeper.gateways.http import (
    CallerGone,
    answer,
    bearer,
    is_own_origin,
    read_body,
    read_headers,
)
from watchkeeper.gateways.otlp.frames import Asked
from watchkeeper.gateways.otlp.reader import Reader

PATHS = ("/v1/traces", "/v1/logs", "/v1/metrics")
LARGEST_BODY = 4 * 1024 * 1024
PAUSES = 3.0
"""How much longer than it works it leaves the event loop to decisions, while there are any."""
_BUSY_SECONDS = 1.0
"""How long after one there are said to be decisions."""
_RETRY_AFTER = (b"retry-after", b"1")
_PROTOBUF, _JSON = "application/x-protobuf", "application/json"
_LONGEST_PIECE = 0.01
_ANSWERS = "watchkeeper.gateways.otlp.answers"


class OtlpEndpoint:
    """The ASGI app of the OTLP gateway."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._reader = Reader()
        self._head, self._busy_until = 0, 0.0
        self._answers: ModuleType | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one HTTP request."""
        headers = read_headers(scope)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["method"] != "POST" or not is_own_origin(headers):
            await answer(send, 405 if scope["method"] != "POST" else 403)
            return
        if kind not in (_PROTOBUF, _JSON):
            await answer(send, 415)
            return
        json = kind == _JSON
        if self._answers is None:
            # what makes them is loaded with the first of them
            self._answers = await asyncio.to_thread(importlib.import_module, _ANSWERS)
        answers = self._answers
        try:
            sender = await self._identify(scope, headers)
            signal = scope["path"].rpartition("/")[2]
            end = await self._take(sender, signal, receive, headers, json)
            sent = answers.taken(signal, *end, json=json)
            await answer(send, 200, sent, kind=kind.encode())
        except CallerGone:
            return
        except WatchkeeperError as error:
            again = [_RETRY_AFTER] if error.status in (429, 503) else []
            sent = answers.refused(error, json=json)
            await answer(send, error.status, sent, again, kind=kind.encode())

    async def stop(self) -> None:
        """End what reads."""
        await self._reader.close()

    async def _identify(self, scope: Any, headers: dict[str, str]) -> Sender:
        try:
            return await self._telemetry.identify(bearer(headers))
        except Unauthenticated:
            client = scope.get("client")
            await self._telemetry.strangers.came(str(client[0]) if client else "this machine")
            raise

    async def _take(
        self, sender: Sender, signal: Any, receive: Any, headers: dict[str, str], json: bool
    ) -> tuple[int, str]:
        meter, agent = self._telemetry.meter, sender.agent
        if meter.in_hand >= MOST_IN_HAND or meter.in_hand_of(agent) >= MOST_OF_ONE:
            meter.turned_away += 1
            raise TooMany("too much telemetry waits already", remedy="send it again in a second")
        meter.begin(agent)
        try:
            zipped, body = await _read(receive, headers)
            allowed, now = self._telemetry.allowed(sender), self._telemetry.now
            asked = Asked(signal, json, zipped, allowed, now)
            return await self._keep(sender, asked, body)
        except Unavailable:
            meter.broken_off += 1
            raise
        finally:
            meter.end(agent)

    async def _keep(self, sender: Sender, asked: Asked, body: bytes) -> tuple[int, str]:
        """Keep what a body says; return how many records are refused, and why."""
        intake, malformed = Intake(sender), False
        async with aclosing(self._reader.parts(asked, body)) as parts:
            async for part in parts:
                if part.refused is not None:
                    raise _why(*part.refused)
                malformed = malformed or part.malformed
                began = time.perf_counter()
                await self._telemetry.take(intake, part)
                if not part.end:
                    await self._make_way(began)
        why = "malformed" if malformed else "of no time near the plane's"
        return intake.counts["rejected"], why

    async def _make_way(self, began: float) -> None:
        """Let others work: what events tell of has been waited for by somebody."""
        now, head = time.perf_counter(), self._telemetry.head
        if head != self._head:
            self._head, self._busy_until = head, now + _BUSY_SECONDS
        if now < self._busy_until:
            await asyncio.sleep(PAUSES * min(now - began, _LONGEST_PIECE))
        else:
            await asyncio.sleep(0)


async def _read(receive: Any, headers: dict[str, str]) -> tuple[bool, bytes]:
    """Return whether the body is packed, and the body as it came."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("gzip", "identity", ""):
        raise Invalid("of encodings, gzip is taken", code="unsupported_encoding")
    plain = {name: value for name, value in headers.items() if name != "content-encoding"}
    return encoding == "gzip", await read_body(receive, plain, LARGEST_BODY)


def _why(status: int, message: str, remedy: str) -> WatchkeeperError:
    kind = TooLarge if status == TooLarge.status else Invalid
    return kind(message, where="body", remedy=remedy or None)
