"""``POST /v1/traces``, ``/v1/logs`` and ``/v1/metrics``: OTLP/HTTP, in protobuf or JSON.

Stock exporters are given the plane's own address (`OTEL_EXPORTER_OTLP_ENDPOINT`) and a token of
the agent. An answer is given once everything of it is stored. Work is done in small pieces, with
decisions between them, one request after the other; where too many wait, exporters are told to
come again.
"""

from __future__ import annotations

import asyncio
import importlib
import time
import zlib
from collections.abc import Iterator
from itertools import islice
from types import ModuleType
from typing import Any

from watchkeeper.core.errors import Invalid, TooLarge, TooMany, Unauthenticated, WatchkeeperError
from watchkeeper.decide.telemetry.senders import Sender
from watchkeeper.decide.telemetry.taking import Read, Telemetry
from watchkeeper.gateways.http import (
    CallerGone,
    answer,
    bearer,
    is_own_origin,
    read_body,
    read_headers,
)

PATHS = ("/v1/traces", "/v1/logs", "/v1/metrics")
LARGEST_BODY = 4 * 1024 * 1024
LARGEST_UNPACKED = 16 * 1024 * 1024
MOST_WAITING = 32
"""Requests that wait for their turn."""
SPANS_AT_ONCE = 16
"""Spans that are read between two turns of the event loop: a millisecond."""
KEPT_AT_ONCE = 64
"""Spans that are written with one commit: some milliseconds."""
PAUSES = 3.0
"""How much longer than it works it leaves the event loop to decisions, while there are any."""
_BUSY_SECONDS = 1.0
"""How long after one there are said to be decisions."""
_RETRY_AFTER = (b"retry-after", b"1")
_PROTOBUF, _JSON = "application/x-protobuf", "application/json"
_AT_ONCE = 64 * 1024
_LONGEST_PIECE = 0.01
_MESSAGES = (
    "watchkeeper.gateways.otlp.reading",
    "watchkeeper.gateways.otlp.answers",
)


class OtlpEndpoint:
    """The ASGI app of the OTLP gateway."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._head, self._busy_until = 0, 0.0
        self._modules: list[ModuleType] = []

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
        reading, answers = await self._load()
        try:
            sender = await self._admit(headers)
            body = await _unpacked(receive, headers)
            signal = scope["path"].rpartition("/")[2]
            rejected, why = await self._take(reading, sender, signal, body, json)
            sent = answers.taken(signal, rejected, why, json=json)
            await answer(send, 200, sent, kind=kind.encode())
        except CallerGone:
            return
        except WatchkeeperError as error:
            again = [_RETRY_AFTER] if error.status in (429, 503) else []
            sent = answers.refused(error, json=json)
            await answer(send, error.status, sent, again, kind=kind.encode())

    async def _load(self) -> list[ModuleType]:
        """Return what reads and writes the messages; it is loaded with the first of them."""
        if not self._modules:
            load = importlib.import_module
            self._modules = [await asyncio.to_thread(load, name) for name in _MESSAGES]
        return self._modules

    async def _admit(self, headers: dict[str, str]) -> Sender:
        if self._waiting >= MOST_WAITING:
            raise TooMany("too much telemetry waits already", remedy="send it again in a second")
        try:
            return await self._telemetry.identify(bearer(headers))
        except Unauthenticated:
            self._telemetry.refused += 1
            raise

    async def _take(
        self, reading: ModuleType, sender: Sender, signal: str, body: bytes, json: bool
    ) -> tuple[int, str]:
        self._waiting += 1
        try:
            async with self._turn:
                if signal == "traces":
                    return await self._take_said(sender, body, json, reading.read_spans)
                if signal == "logs":
                    return await self._take_said(sender, body, json, reading.read_logs, logs=True)
                count = await asyncio.to_thread(reading.count_points, body, json=json)
                await self._telemetry.count(sender, points=count)
                return 0, ""
        finally:
            self._waiting -= 1

    async def _take_said(
        self, sender: Sender, body: bytes, json: bool, take_apart: Any, *, logs: bool = False
    ) -> tuple[int, str]:
        """Take spans, or what log records tell of: most tell of nothing, and are none."""
        found: Iterator[Any]
        if len(body) > _AT_ONCE:
            found = await asyncio.to_thread(take_apart, body, json=json)
        else:
            found = take_apart(body, json=json)
        read: list[Read] = []
        rejected = counted = records = 0
        malformed = False
        while True:
            began = time.perf_counter()
            some = list(islice(found, SPANS_AT_ONCE))
            said = [one for one in some if one is not None]
            malformed = malformed or (not logs and len(said) < len(some))
            kept = self._telemetry.read(sender, said)
            read += kept
            rejected += len(said if logs else some) - len(kept)
            records += len(some) if logs else 0
            if len(read) >= KEPT_AT_ONCE or (not some and (read or rejected or records)):
                await self._telemetry.take(sender, read, rejected - counted, logs=records)
                read, counted, records = [], rejected, 0
            if not some:
                why = "malformed" if malformed else "of no time near the plane's"
                return rejected, why
            await self._make_way(began)

    async def _make_way(self, began: float) -> None:
        """Let others work: what events tell of has been waited for by somebody."""
        now, head = time.perf_counter(), self._telemetry.head
        if head != self._head:
            self._head, self._busy_until = head, now + _BUSY_SECONDS
        if now < self._busy_until:
            await asyncio.sleep(PAUSES * min(now - began, _LONGEST_PIECE))
        else:
            await asyncio.sleep(0)


async def _unpacked(receive: Any, headers: dict[str, str]) -> bytes:
    """Return the whole body, unpacked; raise `TooLarge` where that is too much."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("gzip", "identity", ""):
        raise Invalid("of encodings, gzip is taken", code="unsupported_encoding")
    plain = {name: value for name, value in headers.items() if name != "content-encoding"}
    body = await read_body(receive, plain, LARGEST_BODY)
    if encoding != "gzip":
        return body
    if len(body) > _AT_ONCE:
        return await asyncio.to_thread(_gunzip, body)
    return _gunzip(body)


def _gunzip(body: bytes) -> bytes:
    unpacking = zlib.decompressobj(wbits=31)
    try:
        found = unpacking.decompress(body, LARGEST_UNPACKED + 1)
    except zlib.error:
        raise Invalid("the body is not gzip, though its head says so", where="body") from None
    if len(found) > LARGEST_UNPACKED:
        raise TooLarge(f"the body unpacks to more than {LARGEST_UNPACKED:,} bytes")
    if not unpacking.eof:
        raise Invalid("the body breaks off", where="body")
    return found
