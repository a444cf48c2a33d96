"""Running one server of the fleet in a process of its own."""

from __future__ import annotations

import socket
from pathlib import Path

from watchkeeper.demo.model_server import ModelServer, serve_models
from watchkeeper.demo.settings import FleetSettings
from watchkeeper.demo.tool_servers.server import serve_http
from watchkeeper.demo.tool_servers.state import ToolState
from watchkeeper.demo.tool_servers.workplaces import WORKPLACES


async def serve_tools(name: str, bound: socket.socket, token: str, directory: Path) -> None:
    """Serve one workplace over HTTP; its database is in the fleet's directory."""
    state = ToolState(directory / f"{name}.sqlite3", WORKPLACES[name])
    try:
        await serve_http(WORKPLACES[name], state, bound, token)
    finally:
        state.close()


async def serve_model(bound: socket.socket, key: str, settings: FleetSettings) -> None:
    """Serve the model providers."""
    server = ModelServer(key, settings.fail_every, unhurried=1 / settings.pace)
    await serve_models(server, bound)
