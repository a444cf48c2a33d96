"""A wire between a store and PostgreSQL that can be cut around a commit."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

Cut = Literal["before the commit", "after the commit"]
_SOCKET = ".s.PGSQL.5432"
_MOST = 65_536


class PostgresProxy:
    """Forwards bytes both ways until told to cut at the next commit."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self.cut: Cut | None = None

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        server_reader, server_writer = await self._open()
        held: asyncio.Queue[bytes] = asyncio.Queue()
        holding = asyncio.Event()
        back = asyncio.ensure_future(self._answer(server_reader, writer, holding, held))
        try:
            while data := await reader.read(_MOST):
                cut, self.cut = (self.cut, None) if b"COMMIT" in data else (None, self.cut)
                if cut == "before the commit":
                    break
                if cut == "after the commit":
                    holding.set()
                    server_writer.write(data)
                    await held.get()  # the answer came, and goes no further
                    break
                server_writer.write(data)
        except ConnectionError:
            pass
        finally:
            back.cancel()
            for one in (writer, server_writer):
                one.transport.abort()

    async def _answer(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        holding: asyncio.Event,
        held: asyncio.Queue[bytes],
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(_MOST):
                if holding.is_set():
                    held.put_nowait(data)
                else:
                    writer.write(data)
        writer.transport.abort()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        directory = parse_qs(self._parts.query).get("host")
        if directory:
            return await asyncio.open_unix_connection(str(Path(directory[0]) / _SOCKET))
        return await asyncio.open_connection(self._parts.hostname, self._parts.port or 5432)


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[PostgresProxy, str]]:
    """Run a proxy in front of the server of `url`; yield it and the URL through it."""
    proxy = PostgresProxy(url)
    directory = Path(tempfile.mkdtemp(prefix="wkpx-"))
    server = await asyncio.start_unix_server(proxy.connect, directory / _SOCKET)
    parts = urlsplit(url)
    name = parts.netloc.rpartition("@")[0] or "postgres"
    through = parts._replace(netloc=f"{name}@", query=f"host={quote(str(directory))}")
    try:
        yield proxy, urlunsplit(through)
    finally:
        server.close()
        shutil.rmtree(directory)
