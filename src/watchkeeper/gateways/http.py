"""The little HTTP that the gateways need on raw ASGI: headers, bounded bodies, answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from watchkeeper.core.errors import Invalid, TooLarge, Unauthenticated

AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]
type_json = b"application/json"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
STREAM_HEADERS = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)


class CallerGone(Exception):
    """The caller hung up before its request had arrived whole."""


def read_headers(scope: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers by lower-case name; of one sent twice, the first."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return headers


def sent_twice(scope: Mapping[str, Any], names: Iterable[str]) -> str | None:
    """Return the first of `names` that came more than once: readers could disagree on it."""
    seen = [name.decode("latin-1").lower() for name, _ in scope["headers"]]
    return next((name for name in names if seen.count(name) > 1), None)


def bearer(headers: Mapping[str, str]) -> str:
    """Return the bearer token; raise `Unauthenticated` when there is none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated(
            "this address needs a run token",
            remedy="open a run and send its token as `Authorization: Bearer wkr_…`",
        )
    return token


def is_own_origin(headers: Mapping[str, str]) -> bool:
    """Whether the request came from no web page, or from one on this machine."""
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).hostname in _LOOPBACK
    except ValueError:
        return False


async def read_body(receive: Any, headers: Mapping[str, str], limit: int) -> bytes:
    """Return the whole body; raise `TooLarge`, `Invalid` or `CallerGone`."""
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise TooLarge(f"the body exceeds {limit} bytes")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Invalid("a compressed body is not taken here", code="unsupported_encoding")
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CallerGone
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise TooLarge(f"the body exceeds {limit} bytes")
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def answer(
    send: Any,
    status: int,
    body: bytes = b"",
    headers: Iterable[tuple[bytes, bytes]] = (),
    kind: bytes = type_json,
) -> None:
    """Send a whole answer."""
    head = [(b"content-length", str(len(body)).encode()), *headers]
    if body:
        head.append((b"content-type", kind))
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


def header_value(text: str) -> bytes:
    """Return text as a header value; what no header can carry becomes a question mark."""
    text = text[:300]
    if not (text.isascii() and text.isprintable()):
        text = "".join(c if " " <= c <= "~" else "?" for c in text)
    return text.encode()


class CallerWatch:
    """Notices when the caller hangs up, once somebody wants to know."""

    def __init__(self, receive: Any) -> None:
        self._receive = receive
        self._task: asyncio.Task[None] | None = None
        self._told: list[Callable[[], None]] = []
        self.gone = asyncio.Event()

    def start(self, tell: Callable[[], None] | None = None) -> None:
        """Begin to watch, if that has not begun; call `tell` once the caller is gone."""
        if tell is not None:
            self._told.append(tell)
        if self._task is None:
            self._task = asyncio.create_task(self._watch())
        elif tell is not None and self.gone.is_set():
            asyncio.get_running_loop().call_soon(tell)

    def leave(self) -> None:
        """Note that the caller has hung up."""
        self.gone.set()
        for tell in self._told:
            # not within what runs now: it may just be about to end
            asyncio.get_running_loop().call_soon(tell)

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.leave()

    async def stop(self) -> None:
        """End watching."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
