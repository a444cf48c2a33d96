"""A provider that says, byte for byte, whatever a test wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.gateways.crooked_models import USAGE, base

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
ENDED = b"0\r\n\r\n"


def whole(said: Any = None, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """Return an answer in one piece; without a content type among `headers`, JSON."""
    body = said if isinstance(said, bytes) else json.dumps(said or completion()).encode()
    head = [*headers, b"content-length: %d" % len(body)]
    if not any(one.startswith(b"content-type") for one in headers):
        head.append(b"content-type: application/json")
    return b"HTTP/1.1 " + status + b"\r\n" + b"\r\n".join(head) + b"\r\n\r\n" + body


def completion(content: Any = "hi", **more: Any) -> dict[str, Any]:
    """Return an answer that is well, but for what is changed."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}}
    return {**base({}), "choices": [choice], "usage": USAGE, **more}


def chunk(data: bytes) -> bytes:
    """Return a piece of a stream."""
    return b"%x\r\n" % len(data) + data + b"\r\n"


def events(*said: Any) -> bytes:
    """Return a piece of a stream that holds events."""
    data = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in said]
    return chunk(b"".join(b"data: " + one + b"\n\n" for one in data))


SAID = events(
    {"choices": [{"index": 0, "delta": {"content": "hi"}}]},
    {"choices": [], "usage": USAGE},
    b"[DONE]",
)
"""A whole stream, but for its end."""


@asynccontextmanager
async def bare(data: bytes, *, hang_up: bool = False) -> AsyncIterator[str]:
    """Serve one on 127.0.0.1 that answers each request so; give its base URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
                writer.write(data)
                await writer.drain()
                if hang_up:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()
