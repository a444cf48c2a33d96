"""What goes over one connection: whole bodies, early answers, closed connections, bad headers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tests.rig.deadline import let_pass
from watchkeeper.tools.upstreams.egress import Egress, read_bounded
from watchkeeper.tools.upstreams.model import Sending, UpstreamFailure

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Server:
    """A server of raw bytes; counts connections and keeps the heads that came."""

    def __init__(self, serve: Callable[[Server], Serve]) -> None:
        self.url = ""
        self.connections = 0
        self.heads: list[bytes] = []
        self.answers = serve(self)

    async def head(self, reader: asyncio.StreamReader) -> int:
        """Read a head; return how long its body is."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return int(length or b"0")


@asynccontextmanager
async def served(serve: Callable[[Server], Serve]) -> AsyncIterator[tuple[Server, Egress]]:
    server = Server(serve)
    tasks: set[asyncio.Task[None] | None] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        tasks.add(asyncio.current_task())
        try:
            await server.answers(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    egress = Egress()
    try:
        yield server, egress
    finally:
        await egress.close()
        listening.close()
        running = [task for task in tasks if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def ask(egress: Egress, url: str, method: str = "POST", body: bytes | None = b"{}",
              sending: Sending | None = None, **headers: str) -> tuple[int, bytes]:  # fmt: skip
    async with (
        asyncio.timeout(20),
        egress.request(method, url, headers, sending or Sending(), body=body) as response,
    ):
        return response.status, await read_bounded(response)


def echoing(server: Server) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            body = await reader.readexactly(await server.head(reader))
            # an interim answer comes before, and is none
            said = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
            text = f"{len(body)} {body[:1]!r} {body[-1:]!r}".encode()
            writer.write(said + b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(text) + text)

    return serve


async def test_bodies_of_any_size_arrive_whole_on_one_connection() -> None:
    async with served(echoing) as (server, egress):
        for size in (2, 64 * 1024, 64 * 1024 + 1, 5_000_000):
            body = b"a" + b"x" * (size - 2) + b"z"
            answer = await ask(egress, server.url, body=body)
            assert answer == (200, f"{size} b'a' b'z'".encode())
        assert await ask(egress, server.url, "GET", None) == (200, b"0 b'' b''")
        assert server.connections == 1
    assert b"ontent-" not in server.heads[-1]
    assert server.heads[0].lower().count(b"host:") == 1
    assert b"accept-encoding: identity\r\n" in server.heads[0].lower()


async def test_an_answer_that_comes_before_the_body_is_taken_ends_the_connection() -> None:
    def refusing(server: Server) -> Serve:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.head(reader)
            writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
            await asyncio.Event().wait()

        return serve

    async with served(refusing) as (server, egress):
        for number in (1, 2):
            assert await ask(egress, server.url, body=b"x" * 20_000_000) == (413, b"")
            assert server.connections == number


def closing(server: Server) -> Serve:
    """Answers the first request of a connection, and closes it under the second."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(await server.head(reader))
        writer.write(OK)
        await reader.readexactly(await server.head(reader))

    return serve


async def test_only_what_may_be_repeated_is_sent_again_where_a_kept_connection_closes() -> None:
    async with served(closing) as (server, egress):
        await ask(egress, server.url)
        assert await ask(egress, server.url, "GET", None) == (200, b"ok")
        assert (len(server.heads), server.connections) == (3, 2)
        with pytest.raises(UpstreamFailure, match="without an answer") as failed:
            await ask(egress, server.url)
        assert failed.value.reached
        assert len(server.heads) == 4  # a payment is not made twice


@pytest.mark.parametrize("value", ["a\r\nx-more: b", "a\nb", "a\x00b"])
async def test_a_header_that_would_be_two_is_not_sent(value: str) -> None:
    async with served(echoing) as (server, egress):
        sending = Sending()
        with pytest.raises(UpstreamFailure, match="control character") as failed:
            await ask(egress, server.url, sending=sending, authorization=value)
        assert (failed.value.reached, sending.sent, server.connections) == (False, False, 0)


async def test_what_is_no_http_is_told_as_that() -> None:
    def babbling(server: Server) -> Serve:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.head(reader)
            writer.write(b"220 mail.example.org ESMTP\r\n\r\n")
            await asyncio.Event().wait()

        return serve

    async with served(babbling) as (server, egress):
        with pytest.raises(UpstreamFailure, match="its answer is no HTTP") as failed:
            await ask(egress, server.url)
        assert failed.value.reached


@pytest.mark.parametrize("status", [200, 410])
async def test_of_a_compressed_answer_only_the_head_is_taken(status: int) -> None:
    def packing(server: Server) -> Serve:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(await server.head(reader))
            head = b"HTTP/1.1 %d Said\r\ncontent-encoding: GZIP\r\ncontent-length: 2\r\n\r\nok"
            writer.write(head % status)

        return serve

    async with (
        served(packing) as (server, egress),
        egress.post(server.url, b"{}", {}, Sending()) as response,
    ):
        assert response.status == status
        with pytest.raises(UpstreamFailure, match="compressed") as failed:
            await read_bounded(response)
        assert failed.value.reached


async def test_an_answer_that_is_not_read_to_its_end_ends_the_connection() -> None:
    gone = asyncio.Event()

    def long(server: Server) -> Serve:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(await server.head(reader))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
            await reader.read()
            gone.set()

        return serve

    async with served(long) as (server, egress):
        async with egress.post(server.url, b"{}", {}, Sending()) as response:
            assert await response.content.readany() == b"half"
        async with asyncio.timeout(20):
            await gone.wait()


async def test_what_nobody_asked_for_is_no_answer_to_the_next_request() -> None:
    sent = asyncio.Event()

    def eager(server: Server) -> Serve:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                body = await reader.readexactly(await server.head(reader))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
                await let_pass(0.05)
                writer.write(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
                sent.set()

        return serve

    async with served(eager) as (server, egress):
        for number, body in enumerate((b"one", b"two"), 1):
            sending = Sending()
            assert await ask(egress, server.url, body=body, sending=sending) == (200, body)
            assert (sending.sent, server.connections) == (True, number)
            async with asyncio.timeout(20):
                await sent.wait()
            await let_pass(0.05)
            sent.clear()
