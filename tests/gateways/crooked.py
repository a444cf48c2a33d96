"""MCP servers that real ones turn into on a bad day: old, forgetful, slow, loud or lying."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.gateways.serving import serving

ECHO = {
    "name": "echo",
    "description": "Repeats.",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
}


@dataclass
class Crooked:
    """One server; `mode` says what it does with `tools/call`, `sessions` that it is an old one."""

    mode: str = "well"
    sessions: bool = False
    url: str = ""
    calls: int = 0
    session: int = 0
    opened: int = 0
    heard: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    tool: dict[str, Any] = field(default_factory=lambda: dict(ECHO))
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {k.decode(): v.decode() for k, v in scope["headers"]}
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        if scope["method"] != "POST":
            await respond(send, 405)
            return
        message = json.loads(body)
        self.heard.append(message)
        self.headers.append(headers)
        method = message["method"]
        modern = headers.get("mcp-protocol-version") == "2026-07-28"
        if self.sessions and modern:
            await respond(send, 400, b"Bad Request: Unsupported protocol version", b"text/plain")
        elif "id" not in message:
            await respond(send, 202)
        elif method == "initialize":
            self.session += 1
            self.opened += 1
            await self._result(
                send, message, {"protocolVersion": "2025-06-18", "capabilities": {}},
                extra=[(b"mcp-session-id", str(self.session).encode())],
            )  # fmt: skip
        elif self.sessions and headers.get("mcp-session-id") != str(self.session):
            await respond(send, 404, b"no such session", b"text/plain")
        elif method == "server/discover":
            await self._result(send, message, {"supportedVersions": ["2026-07-28"]})
        elif method == "tools/list":
            await self._result(send, message, {"tools": [self.tool]})
        else:
            self.calls += 1
            await self._call(send, message)

    async def _call(self, send: Any, message: dict[str, Any]) -> None:
        text = message["params"]["arguments"].get("text", "")
        result = {"content": [{"type": "text", "text": text}], "isError": False}
        if self.mode == "http-500":
            await respond(send, 500, b"boom", b"text/plain")
        elif self.mode == "redirect":
            await respond(send, 307, b"", extra=[(b"location", b"http://127.0.0.1:1/elsewhere")])
        elif self.mode == "garbage":
            await respond(send, 200, b"\xff\xfenonsense")
        elif self.mode == "huge":
            await respond(send, 200, b'{"x":"' + b"y" * (17 * 1024 * 1024) + b'"}')
        elif self.mode == "refuse":
            error = {"code": -32602, "message": "no \x1b[31msuch\x1b[0m account"}
            await respond(send, 200, envelope(message, error=error))
        elif self.mode == "silent":
            await self.release.wait()
        elif self.mode == "other-id":
            await self._result(send, {**message, "id": message["id"] + 1}, result)
        elif self.mode == "asks-back":
            await self._result(send, message, {"resultType": "input_required"})
        elif self.mode == "stream":
            await self._stream(send, message, result)
        elif self.mode == "stream-cut":
            await self._stream(send, message, None)
        else:
            await self._result(send, message, result)

    async def _stream(
        self, send: Any, message: dict[str, Any], result: dict[str, Any] | None
    ) -> None:
        head = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        token = message["params"].get("_meta", {}).get("progressToken")
        note = {"progressToken": token, "progress": 1, "total": 2, "message": "half"}
        line = {"jsonrpc": "2.0", "method": "notifications/progress", "params": note}
        text = b": hello\r\n\r\ndata: " + json.dumps(line).encode() + b"\r\n\r\n"
        if result is not None:
            # an indented answer: its line feeds are data lines of one event
            shown = json.dumps(json.loads(envelope(message, result=result)), indent=1)
            text += b"".join(b"data: " + one.encode() + b"\n" for one in shown.splitlines()) + b"\n"
        for start in range(0, len(text), 7):
            piece = text[start : start + 7]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _result(
        self, send: Any, message: dict[str, Any], result: dict[str, Any], extra: Any = ()
    ) -> None:
        await respond(send, 200, envelope(message, result=result), extra=extra)


def envelope(message: dict[str, Any], **members: Any) -> bytes:
    """Return a JSON-RPC answer."""
    return json.dumps({"jsonrpc": "2.0", "id": message["id"], **members}).encode()


async def respond(
    send: Any, status: int, body: bytes = b"", kind: bytes = b"application/json", extra: Any = ()
) -> None:
    """Send a whole answer."""
    head = [(b"content-type", kind), *extra]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def crooked(mode: str = "well", **options: Any) -> AsyncIterator[Crooked]:
    """Serve one on 127.0.0.1."""
    app = Crooked(mode, **options)
    async with serving(app) as url:
        app.url = f"{url}/mcp"
        try:
            yield app
        finally:
            app.release.set()
