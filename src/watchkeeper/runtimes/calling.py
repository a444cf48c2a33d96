"""Requests to one runtime: to the declared place only, bounded, with its credential."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec

from watchkeeper.core.errors import Unavailable
from watchkeeper.decide.tokens.credentials import credential_of
from watchkeeper.registry.runtimes import Runtime
from watchkeeper.tools.upstreams.credentials import Credentials
from watchkeeper.tools.upstreams.egress import Egress, read_bounded
from watchkeeper.tools.upstreams.model import Sending, UpstreamFailure

if TYPE_CHECKING:
    from aiohttp import ClientResponse

LONGEST_SECONDS = 5.0
"""Of one request, whatever a document says."""
LARGEST_ANSWER = 4 * 1024 * 1024
_UNAUTHORISED = 401
Query = Mapping[str, str | Sequence[str]]
"""Parameters; one with several values is sent so often."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What a runtime answered: its status, and the JSON in it; None where it is not JSON."""

    status: int
    value: Any

    @property
    def well(self) -> bool:
        """Whether it did what it was asked for."""
        return 200 <= self.status < 300


class RuntimeCalls:
    """The way to one runtime. Every answer is redacted of credentials before it is read."""

    def __init__(self, document: Runtime, egress: Egress, credentials: Credentials) -> None:
        self._document = document
        self._egress = egress
        self._credentials = credentials
        self._credential = credential_of(document.credential, document.allow_private)
        self.seconds = min(document.timeout_seconds, LONGEST_SECONDS)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        limit: int = LARGEST_ANSWER,
        headers: Mapping[str, str] | None = None,
    ) -> Answered:
        """Send one request and return its answer, whatever its status.

        `path` is from :func:`path_of`, or the document's. Raises `UpstreamFailure` where there
        is no answer within `seconds`, and `Unavailable` where its credential cannot be had.
        """
        sending = Sending()
        try:
            async with asyncio.timeout(self.seconds):
                answer, given = await self._send(method, path, query, body, limit, sending, headers)
                if answer.status == _UNAUTHORISED and self._credentials.refused(
                    self._credential, given
                ):
                    answer, _ = await self._send(method, path, query, body, limit, sending, headers)
                return answer
        except TimeoutError:
            raise UpstreamFailure(
                f"it did not answer in {self.seconds:g} s", reached=sending.sent
            ) from None

    async def expect(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        limit: int = LARGEST_ANSWER,
    ) -> Answered:
        """Do as :meth:`ask`, and raise `UpstreamFailure` for any status but success."""
        answer = await self.ask(method, path, query=query, body=body, limit=limit)
        if not answer.well:
            raise UpstreamFailure(
                f"it answered {answer.status} to {method} {path.partition('?')[0]}", reached=True
            )
        return answer

    async def overhear(
        self,
        path: str,
        *,
        query: Query | None = None,
        quiet_seconds: float,
        limit: int = LARGEST_ANSWER,
    ) -> bytes:
        """Return what a stream says until it ends, is silent for `quiet_seconds`, or has said
        `limit` bytes; a stream that says nothing new returns nothing.

        Raises as :meth:`expect`.
        """
        headers = await self._credentials.headers(self._credential)
        said = bytearray()
        sending, began = Sending(), False
        try:
            async with (
                asyncio.timeout(self.seconds),
                self._egress.request(
                    "GET",
                    self._url(path, query),
                    {"accept": "text/event-stream", **headers},
                    sending,
                    allow_private=self._document.allow_private,
                ) as response,
            ):
                if not 200 <= response.status < 300:
                    raise UpstreamFailure(
                        f"it answered {response.status} to GET {path}", reached=True
                    )
                began = True
                while len(said) < limit and (piece := await _next(response, quiet_seconds)):
                    said += piece
        except TimeoutError:
            if not began:
                raise UpstreamFailure(
                    f"it did not answer in {self.seconds:g} s", reached=sending.sent
                ) from None
        return await self._credentials.redact(self._credential, headers, bytes(said))

    def _url(self, path: str, query: Query | None) -> str:
        if self._document.url is None:
            raise Unavailable(f"runtime {self._document.name!r} has no url")
        url = self._document.url.rstrip("/") + path
        return f"{url}?{urlencode(query, doseq=True)}" if query else url

    async def _send(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: Any,
        limit: int,
        sending: Sending,
        more: Mapping[str, str] | None,
    ) -> tuple[Answered, dict[str, str]]:
        url = self._url(path, query)
        headers = await self._credentials.headers(self._credential)
        sent = {"accept": "application/json", **(more or {}), **headers}
        data = None
        if body is not None:
            data = msgspec.json.encode(body)
            sent["content-type"] = "application/json"
        async with self._egress.request(
            method, url, sent, sending, body=data, allow_private=self._document.allow_private
        ) as response:
            raw = await read_bounded(response, limit)
            status = response.status
        raw = await self._credentials.redact(self._credential, headers, raw)
        return Answered(status, await _decode(raw)), headers


async def _next(response: ClientResponse, quiet_seconds: float) -> bytes:
    """Return what comes next; nothing once it has ended, or was silent for so long."""
    try:
        async with asyncio.timeout(quiet_seconds):
            return await response.content.readany()
    except TimeoutError:
        return b""


async def _decode(raw: bytes) -> Any:
    """Return the JSON in an answer, or None; a large one does not block the loop."""
    if len(raw) > _LARGE:
        return await asyncio.to_thread(_read, raw)
    return _read(raw)


def _read(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass
    try:
        # what one agent wrote (half a character, a number without end) must not hide the others
        return json.loads(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


_LARGE = 256 * 1024


def path_of(*segments: str) -> str:
    """Return a path of whole segments, each quoted: `/threads/ID/runs`.

    Raises `UpstreamFailure` for a segment that would lead elsewhere, which only a runtime that
    means harm names.
    """
    for one in segments:
        if one in {"", ".", ".."} or len(one) > _LONGEST_SEGMENT:
            raise UpstreamFailure("it names something by an id that can't be used", reached=False)
    return "/" + "/".join(quote(one, safe="") for one in segments)


_LONGEST_SEGMENT = 500
