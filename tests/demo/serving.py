"""The demo's servers, running in the test's own loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from watchkeeper.demo.agents.toolbox import Toolbox
from watchkeeper.demo.model_server import ModelServer, serve_models
from watchkeeper.demo.tool_servers.server import serve_http
from watchkeeper.demo.tool_servers.state import ToolState
from watchkeeper.demo.tool_servers.workplaces import WORKPLACES

KEY = "wkd_test"


def listen() -> tuple[socket.socket, str]:
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    bound.listen()
    bound.setblocking(False)
    return bound, f"http://127.0.0.1:{bound.getsockname()[1]}"


@asynccontextmanager
async def _running(work: Any) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def tool_server(name: str, directory: Path) -> AsyncIterator[tuple[str, ToolState]]:
    bound, url = listen()
    state = ToolState(directory / f"{name}.sqlite3", WORKPLACES[name])
    async with _running(serve_http(WORKPLACES[name], state, bound, KEY)):
        yield f"{url}/mcp", state
    state.close()


@asynccontextmanager
async def model_server(**options: Any) -> AsyncIterator[str]:
    bound, url = listen()
    async with _running(serve_models(ModelServer(KEY, **options), bound)):
        yield f"{url}/v1"


def toolbox(url: str, era: Literal["modern", "legacy"] = "modern", token: str = KEY) -> Toolbox:
    return Toolbox(url, token, agent="tester", era=era)
