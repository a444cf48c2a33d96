"""Half-sent requests are cut off; whole ones are not."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from watchkeeper.plane import connection
from watchkeeper.plane.server import Server, bind_loopback, bind_unix
from watchkeeper.plane.together import Together


async def echo(scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    while message["type"] == "http.request" and message["more_body"]:
        message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"heard"})


async def answer_to(raw: bytes) -> bytes:
    listener = bind_loopback(0)
    server = Server(echo, most_connections=10, stop_seconds=1)
    await server.open([listener])
    try:
        host, port = listener.getsockname()
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(raw)
        received = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        return received
    finally:
        await server.close()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: x",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n",
    ],
    ids=["silent", "half a head", "half a body", "half a second request"],
)
async def test_what_stays_half_sent_is_cut_off(raw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PARTIAL_SECONDS", 0.05)
    received = await answer_to(raw)
    assert b" 408 " in received
    assert b"too_slow" in received


async def test_a_whole_request_is_answered_however_long_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "PARTIAL_SECONDS", 0.05)
    whole = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    received = await answer_to(whole)
    assert received.endswith(b"heard\r\n0\r\n\r\n")


async def heard_by(reader: asyncio.StreamReader) -> bytes:
    """Return all that comes until the connection ends, however it ends."""
    try:
        return await asyncio.wait_for(reader.read(), 20)
    except ConnectionError:
        return b""


async def test_the_owner_gets_through_however_many_agents_hold_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MOST_REFUSALS", 2)
    whole = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    loopback, unix = bind_loopback(0), bind_unix(tmp_path / "socket")
    server = Server(echo, most_connections=3, stop_seconds=1)
    await server.open([loopback, unix])
    held = [await asyncio.open_connection(*loopback.getsockname()) for _ in range(4)]
    try:
        reader, writer = await asyncio.open_connection(*loopback.getsockname())
        writer.write(whole)
        assert b" 503 " in await asyncio.wait_for(reader.read(), 20)
        writer.close()
        held += [await asyncio.open_connection(*loopback.getsockname()) for _ in range(3)]
        assert await heard_by(held[-1][0]) == b""
        reader, writer = await asyncio.open_unix_connection(tmp_path / "socket")
        writer.write(whole)
        assert b"heard" in await asyncio.wait_for(reader.read(), 20)
        writer.close()
    finally:
        for _, writer in held:
            writer.close()
        await server.close()


def test_a_tcp_connection_has_no_peer() -> None:
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        peer = connection.read_peer(left)
        assert peer is not None
        assert peer.pid
    with socket.socket() as tcp:
        assert connection.read_peer(tcp) is None or connection.read_peer(tcp).pid in (0, None)  # type: ignore[union-attr]


async def test_a_head_that_nothing_follows_is_sent_all_the_same() -> None:
    """A stream may have nothing to say for a long time; its reader learns that it was opened."""
    ending = asyncio.Event()

    async def silent(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await ending.wait()
        await send({"type": "http.response.body", "body": b"said"})

    listener = bind_loopback(0)
    server = Server(silent, most_connections=10, stop_seconds=1)
    await server.open([listener])
    try:
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert head.startswith(b"HTTP/1.1 200 ")
        ending.set()
        assert await asyncio.wait_for(reader.read(), 5) == b"4\r\nsaid\r\n0\r\n\r\n"
        writer.close()
    finally:
        ending.set()
        await server.close()


class Recording(asyncio.Transport):
    """Keeps what is written, and when it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bytes] = []

    def write(self, data: Any) -> None:
        self.seen.append(data)

    def close(self) -> None:
        self.seen.append(b"closed")


async def test_a_head_goes_out_with_what_follows_it() -> None:
    below = Recording()
    together = Together(below, asyncio.get_running_loop())
    together.write(b"HTTP/1.1 200 OK\r\n\r\n")
    together.write(b"body")
    together.write(b"more")
    together.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    together.close()
    await asyncio.sleep(0)
    assert below.seen == [
        b"HTTP/1.1 200 OK\r\n\r\nbody",
        b"more",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"closed",
    ]
