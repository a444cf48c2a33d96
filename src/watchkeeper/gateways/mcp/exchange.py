"""One POST's answer: JSON when it comes soon, a stream of events once it has to say more."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec

from watchkeeper.gateways.http import STREAM_HEADERS, CallerWatch, answer, header_value
from watchkeeper.gateways.mcp.envelope import Rejected, RequestId

PING_SECONDS = 15.0
_PING = b": ping\r\n\r\n"
_BACKLOG = 256
_CHALLENGED = frozenset({401, 403})
_WITHDRAWN = Rejected(-32000, "Request cancelled; nothing was done")
_METADATA = "/.well-known/oauth-protected-resource/mcp"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_HOST = re.compile(r"[A-Za-z0-9.\-\[\]:]{1,255}")


def accepts(headers: Mapping[str, str]) -> tuple[bool, bool]:
    """Return whether the caller takes JSON, and whether it takes a stream of events."""
    accept = headers.get("accept")
    if accept is None:
        return True, True
    kinds = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    both = "*/*" in kinds
    return (
        both or bool(kinds & {"application/json", "application/*"}),
        both or bool(kinds & {"text/event-stream", "text/*"}),
    )


def encode_error(rejected: Rejected, identifier: RequestId | None) -> bytes:
    """Return a JSON-RPC error answer."""
    error: dict[str, Any] = {"code": rejected.code, "message": rejected.message}
    if rejected.data is not None:
        error["data"] = rejected.data
    known = rejected.id if rejected.id is not None else identifier
    return msgspec.json.encode({"jsonrpc": "2.0", "id": known, "error": error})


async def reject(
    send: Any,
    rejected: Rejected,
    identifier: RequestId | None = None,
    *,
    modern: bool,
    host: str | None = None,
) -> None:
    """Answer with a JSON-RPC error under the HTTP status that the era gives it.

    `host` is what the caller calls the plane; a challenge says where its metadata is.
    """
    status = rejected.status(modern=modern)
    headers = []
    if status in _CHALLENGED:
        headers.append((b"www-authenticate", _challenge(rejected, host)))
    await answer(send, status, encode_error(rejected, identifier), headers)


def _challenge(rejected: Rejected, host: str | None) -> bytes:
    """Return the challenge of RFC 6750 with where RFC 9728's metadata is."""
    members = {"realm": "watchkeeper", **rejected.challenge}
    if host is not None and _HOST.fullmatch(host):
        # any other name is the plane's public one, which a proxy serves over TLS
        scheme = "http" if host.startswith(_LOOPBACK) else "https"
        members["resource_metadata"] = f"{scheme}://{host}{_METADATA}"
    said = ", ".join(f'{name}="{value}"' for name, value in members.items())
    return header_value(f"Bearer {said}")


class Exchange:
    """The answer to one request, and what is said on the way to it."""

    def __init__(
        self,
        receive: Any,
        send: Any,
        identifier: RequestId,
        *,
        streams: bool,
        modern: bool,
        host: str | None,
    ) -> None:
        self._host = host
        self._send = send
        self._id = identifier
        self._streams = streams
        self._modern = modern
        self._notes: asyncio.Queue[bytes] = asyncio.Queue(_BACKLOG)
        self._said: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watch = CallerWatch(receive)
        self._when_taken: Callable[[], None] | None = None

    @property
    def gone(self) -> asyncio.Event:
        """Set when the caller has hung up, once `watch` was called."""
        return self._watch.gone

    def watch(self) -> None:
        """Begin to notice when the caller hangs up."""
        self._watch.start()

    def when_taken(self, tell: Callable[[], None]) -> None:
        """Call `tell` once the whole answer was sent to a caller that had not hung up."""
        self._when_taken = tell

    def say(self, method: str, params: Mapping[str, Any]) -> None:
        """Send a notification before the answer; dropped where the caller takes no stream."""
        if not self._streams or self._notes.full():
            return
        note = {"jsonrpc": "2.0", "method": method, "params": params}
        self._notes.put_nowait(_event(msgspec.json.encode(note)))
        if not self._said.done():
            self._said.set_result(None)

    async def run(self, work: Coroutine[Any, Any, dict[str, Any] | None]) -> None:
        """Run `work` and answer with the result it returns; None: nobody waits for one."""
        task = asyncio.ensure_future(work)
        try:
            waits: list[asyncio.Future[Any]] = [task]
            if self._streams:
                waits.append(self._said)
            timeout = PING_SECONDS if self._streams else None
            await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if task.done() and self._notes.empty():
                await self._answer_whole(task)
            else:
                await self._answer_streaming(task)
            if self._when_taken is not None and not self.gone.is_set():
                self._when_taken()
        finally:
            task.cancel()
            await self._watch.stop()

    async def _answer_whole(self, task: asyncio.Future[dict[str, Any] | None]) -> None:
        try:
            result = task.result()
        except Rejected as rejected:
            await reject(self._send, rejected, self._id, modern=self._modern, host=self._host)
            return
        if result is None:
            # a caller that hung up hears nothing; one that withdrew its request needs an end
            await answer(self._send, 200, encode_error(_WITHDRAWN, self._id))
        else:
            await answer(self._send, 200, self._encode(result))

    async def _answer_streaming(self, task: asyncio.Future[dict[str, Any] | None]) -> None:
        self.watch()
        await self._send(
            {"type": "http.response.start", "status": 200, "headers": list(STREAM_HEADERS)}
        )
        gone = asyncio.ensure_future(self.gone.wait())
        try:
            note: asyncio.Future[bytes] = asyncio.ensure_future(self._notes.get())
            while not task.done() and not gone.done():
                waits: list[asyncio.Future[Any]] = [task, note, gone]
                await asyncio.wait(waits, timeout=PING_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if note.done():
                    await self._push(note.result())
                    note = asyncio.ensure_future(self._notes.get())
                elif not task.done() and not gone.done():
                    await self._push(_PING)
            if note.done():
                await self._push(note.result())
            note.cancel()
            if gone.done():
                # what is held notices by itself; what runs, runs to its end
                await asyncio.wait({task})
        finally:
            gone.cancel()
        while not self._notes.empty():
            await self._push(self._notes.get_nowait())
        await self._send(
            {"type": "http.response.body", "body": self._last_event(task), "more_body": False}
        )

    def _last_event(self, task: asyncio.Future[dict[str, Any] | None]) -> bytes:
        try:
            result = task.result()
        except Rejected as rejected:
            return _event(encode_error(rejected, self._id))
        if result is None:
            return _event(encode_error(_WITHDRAWN, self._id))
        return _event(self._encode(result))

    async def _push(self, event: bytes) -> None:
        await self._send({"type": "http.response.body", "body": event, "more_body": True})

    def _encode(self, result: dict[str, Any]) -> bytes:
        return msgspec.json.encode({"jsonrpc": "2.0", "id": self._id, "result": result})


def _event(data: bytes) -> bytes:
    # JSON that an upstream indented has line feeds, which must not end the event early
    return (
        b"event: message\r\n"
        + b"".join(b"data: " + line + b"\r\n" for line in data.splitlines() or [b""])
        + b"\r\n"
    )
