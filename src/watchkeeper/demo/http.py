"""Serving an ASGI application on a socket until the task is cancelled, then ending in order."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn

GRACE_SECONDS = 2


async def serve_app(app: Any, bound: socket.socket) -> None:
    """Serve on a socket that listens already; on cancellation finish what runs, then end."""
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
