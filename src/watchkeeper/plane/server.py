"""The listeners: one application on a Unix socket and on 127.0.0.1."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import uvicorn

from watchkeeper.core.errors import Conflict, Unavailable
from watchkeeper.plane.connection import Connection

_BACKLOG = 1024
_TICK_SECONDS = 1.0


class Server(uvicorn.Server):
    """Serves on sockets that are already bound, until :meth:`stop` is called.

    The plane owns the signals and the order of start and stop; this only serves.
    """

    def __init__(self, application: Any, *, most_connections: int, stop_seconds: int) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http=Connection,
                ws="none",
                lifespan="off",
                loop="asyncio",
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=most_connections,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=stop_seconds,
                backlog=_BACKLOG,
                proxy_headers=False,
            )
        )
        self._stopping = asyncio.Event()

    async def open(self, sockets: list[socket.socket]) -> None:
        """Begin to accept connections."""
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup(sockets=sockets)
        await self.on_tick(0)

    async def main_loop(self) -> None:
        """Keep the date header right until told to stop."""
        while not self._stopping.is_set():
            try:
                await asyncio.wait_for(self._stopping.wait(), _TICK_SECONDS)
            except TimeoutError:
                await self.on_tick(0)

    def stop(self) -> None:
        """End :meth:`main_loop`."""
        self._stopping.set()

    async def close(self) -> None:
        """Stop accepting, let calls in flight finish within the grace period, cut the rest."""
        if self.started:
            await self.shutdown(sockets=None)


def bind_unix(path: Path) -> socket.socket:
    """Bind the Unix socket, which only this user may connect to."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(os.fspath(path))
    except OSError as error:
        listener.close()
        raise Unavailable(
            f"cannot make the socket: {error.strerror}",
            where=str(path),
            remedy="free space on that disk, or give another --state DIR",
        ) from None
    finally:
        os.umask(before)
    listener.setblocking(False)
    return listener


def bind_loopback(port: int) -> socket.socket:
    """Bind the TCP port on 127.0.0.1 only; raise :class:`Conflict` if it is taken."""
    return bind_tcp("127.0.0.1", port)


def bind_tcp(host: str, port: int) -> socket.socket:
    """Bind a TCP port of an IPv4 address; raise :class:`Conflict` if it cannot be had."""
    # named, because asyncio turns Nagle's delay off only where it sees the protocol: without
    # it every answer waits some 40 ms for the caller's delayed acknowledgement
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Conflict(
            f"cannot listen on {host}:{port}: {error.strerror}",
            code="port_taken",
            where=f"{host}:{port}",
            remedy="stop what uses the port, or give another with --port N (0 for any)",
        ) from None
    listener.setblocking(False)
    return listener
