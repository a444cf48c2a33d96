"""Serving a workplace with the official MCP library, over HTTP or stdio."""

from __future__ import annotations

import hmac
import socket
from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    ToolAnnotations,
)
from mcp.types import Tool as Listed
from starlette.types import ASGIApp, Receive, Scope, Send

from watchkeeper.core.digest import canonical
from watchkeeper.demo.http import serve_app
from watchkeeper.demo.tool_servers.state import ToolState
from watchkeeper.demo.tool_servers.tool import ToolFailed, Workplace

LARGEST_BODY = 1024 * 1024


def build_server(workplace: Workplace, state: ToolState) -> Server[Any]:
    """Return an MCP server with the workplace's tools over its state."""
    listed = [
        Listed(
            name=tool.name,
            description=tool.does,
            input_schema=tool.schema,
            annotations=ToolAnnotations(
                read_only_hint=not tool.writes, destructive_hint=tool.writes
            ),
        )
        for tool in workplace.tools
    ]

    async def list_tools(_context: Any, _params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=listed)

    async def call_tool(_context: Any, params: CallToolRequestParams) -> CallToolResult:
        try:
            result = state.call(params.name, params.arguments or {})
        except ToolFailed as failed:
            return CallToolResult(
                content=[TextContent(type="text", text=str(failed))],
                structured_content={"error": str(failed)},
                is_error=True,
            )
        text = canonical(result).decode()
        return CallToolResult(
            content=[TextContent(type="text", text=text)], structured_content=result
        )

    return Server(workplace.name, on_list_tools=list_tools, on_call_tool=call_tool)


class RequireBearer:
    """Lets a request in only with the credential that the plane holds."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401."""
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._expected):
                await send(
                    {
                        "type": "http.response.start",
                        "status": 401,
                        "headers": [(b"content-type", b"application/json")],
                    }
                )
                await send({"type": "http.response.body", "body": b'{"error":"unauthorized"}'})
                return
        await self._app(scope, receive, send)


async def serve_http(
    workplace: Workplace, state: ToolState, bound: socket.socket, token: str
) -> None:
    """Serve on a socket that listens already, until cancelled."""
    app = build_server(workplace, state).streamable_http_app(
        json_response=True, max_request_body_size=LARGEST_BODY
    )
    await serve_app(RequireBearer(app, token), bound)


async def serve_stdio(workplace: Workplace, state: ToolState) -> None:
    """Serve over standard input and output until the other side closes them."""
    server = build_server(workplace, state)
    async with stdio_server() as (reader, writer):
        await server.run(reader, writer, server.create_initialization_options())
