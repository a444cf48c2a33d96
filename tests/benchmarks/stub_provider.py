"""The provider that gateways are measured against: raw sockets, a fixed answer, no work.

`python -m tests.benchmarks.stub_provider READY [--trickle]` writes its port to READY. It answers
any POST as a chat completion; one whose body asks for a stream gets `EVENTS` events, of which the
first comes at once and the others in one piece `REST_SECONDS` later; with `--trickle` one event
every `TRICKLE_SECONDS`, without an end.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

EVENTS = 20
REST_SECONDS = 0.02
TRICKLE_SECONDS = 0.05
_USAGE = {"prompt_tokens": 12, "completion_tokens": EVENTS, "total_tokens": 12 + EVENTS}


def _event(members: Mapping[str, object]) -> bytes:
    shape = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m-1"}
    return b"data: " + json.dumps({**shape, **members}).encode() + b"\n\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_WHOLE = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m-1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "word " * EVENTS},
                "finish_reason": "stop",
            }
        ],
        "usage": _USAGE,
    }
).encode()
ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(_WHOLE)
) + _WHOLE
_word = {"choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]}
_last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
FIRST = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    + _chunk(_event(_word))
)
REST = (
    b"".join(_chunk(_event(_word)) for _ in range(EVENTS - 1))
    + _chunk(_event(_last))
    + _chunk(_event({"choices": [], "usage": _USAGE}))
    + _chunk(b"data: [DONE]\n\n")
    + b"0\r\n\r\n"
)


class Answering(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, *, trickles: bool = False) -> None:
        self._buffer = b""
        self._trickles = trickles
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer once a request is whole."""
        assert self._transport is not None
        self._buffer += data
        head_end = self._buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self._buffer[:head_end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < head_end + 4 + length:
            return
        body, self._buffer = self._buffer[head_end + 4 :], b""
        if b'"stream":true' in body or b'"stream": true' in body:
            self._transport.write(FIRST)
            loop = asyncio.get_running_loop()
            if self._trickles:
                loop.call_later(TRICKLE_SECONDS, self._trickle)
            else:
                loop.call_later(REST_SECONDS, self._finish)
        else:
            self._transport.write(ANSWER)

    def _finish(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(REST)

    def _trickle(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(_chunk(_event(_word)))
            asyncio.get_running_loop().call_later(TRICKLE_SECONDS, self._trickle)


async def serve(ready: Path, *, trickles: bool) -> None:
    """Serve until the process is killed."""
    make = partial(Answering, trickles=trickles)
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    ready.write_text(json.dumps({"port": server.sockets[0].getsockname()[1]}), encoding="utf-8")
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), trickles="--trickle" in sys.argv))
