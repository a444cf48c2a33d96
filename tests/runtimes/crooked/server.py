"""A server that answers every runtime's requests as badly as it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

DEEP = b"[" * 5_000 + b"]" * 5_000
HOSTILE_TEXT = "\x1b[31m\u202e\x00" + "A" * 5_000
HOSTILE_IDS: tuple[Any, ...] = (
    "..", ".", "", "a/../b", "\x00", "x" * 5_000, "\u202e", "a\nb", "%2e%2e", "?", "#",
    None, True, 1.5, [], {},
)  # fmt: skip


class Crooked:
    """Answers with what `answer` makes of a request; keeps the paths that it was asked for."""

    def __init__(self, answer: Callable[[web.Request], Any]) -> None:
        self.answer = answer
        self.paths: list[str] = []
        self.url = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.raw_path)
        await request.read()
        answered = self.answer(request)
        if answered == "hang":
            await asyncio.Event().wait()
        if answered == "cut":
            assert request.transport is not None
            request.transport.abort()
        if isinstance(answered, int):
            return web.Response(status=answered)
        if isinstance(answered, bytes):
            return web.Response(body=answered, content_type="application/json")
        return web.json_response(answered)


@asynccontextmanager
async def crooked(answer: Callable[[web.Request], Any]) -> AsyncIterator[Crooked]:
    """Serve while the block runs."""
    server = Crooked(answer)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.serve)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()
