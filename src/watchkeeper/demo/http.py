"""Listening sockets, and serving an ASGI application on one until the task is cancelled."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from watchkeeper.core.errors import WatchkeeperError

GRACE_SECONDS = 2


async def serve_app(app: Any, bound: socket.socket) -> None:
    """Serve on a socket that listens already; on cancellation finish what runs, then end."""
    import uvicorn

    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE_SECONDS
    )
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server.serve(sockets=[bound]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True
        await serving
        raise


def listen(port: int) -> socket.socket:
    """Listen on the port that the documents name, or on any other if that is taken."""
    for wanted in (port, 0):
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(("127.0.0.1", wanted))
            bound.listen(128)
        except OSError:
            bound.close()
            continue
        bound.setblocking(False)
        return bound
    raise WatchkeeperError("this machine has no free port", remedy="close some connections")
