"""An MCP server that fails on purpose, and keeps its own account of what it executed.

Every execution is one line in a file, written before the answer: what the plane recorded can
be held against it. The call says which fault it wants, so that a plan decides and not chance.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from pathlib import Path
from typing import Any

from aiohttp import web

FAULTS = (
    "none",
    "tool-error",
    "refused",
    "status-500",
    "garbage",
    "cut-before",
    "cut-after",
    "slow",
    "wrong-output",
)
"""What can go wrong; all but `cut-before`, `refused` and `status-500` execute first."""
EXECUTES = frozenset(FAULTS) - {"cut-before", "refused", "status-500"}
SLOW_SECONDS = 1.5

_TOOL = {
    "name": "post",
    "description": "Post one entry.",
    "inputSchema": {
        "type": "object",
        "properties": {"entry": {"type": "string"}, "fault": {"type": "string"}},
        "required": ["entry"],
    },
}


class FaultyUpstream:
    """The server over one file of executed entries."""

    def __init__(self, account: Path) -> None:
        self._account = os.open(account, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one JSON-RPC request."""
        message = json.loads(await request.read())
        if "id" not in message:
            return web.Response(status=202)
        if message["method"] == "server/discover":
            return _result(message, {"supportedVersions": ["2026-07-28"], "capabilities": {}})
        if message["method"] == "tools/list":
            return _result(message, {"tools": [_TOOL]})
        return await self._call(request, message)

    async def _call(self, request: web.Request, message: dict[str, Any]) -> web.StreamResponse:
        arguments = message["params"]["arguments"]
        fault = arguments.get("fault", "none")
        if fault in EXECUTES:
            # one write of one short line: whole or not at all, whatever happens next
            os.write(self._account, f"{arguments['entry']}\n".encode())
        if fault == "status-500":
            return web.Response(status=500, text="boom")
        if fault == "garbage":
            return web.Response(body=b"\xff\xfe{", content_type="application/json")
        if fault in ("cut-before", "cut-after"):
            assert request.transport is not None
            request.transport.abort()
            return web.Response(status=500)
        if fault == "refused":
            error = {"code": -32602, "message": "no such entry"}
            return web.json_response({"jsonrpc": "2.0", "id": message["id"], "error": error})
        if fault == "slow":
            never = asyncio.get_running_loop().create_future()
            await asyncio.wait({never}, timeout=SLOW_SECONDS)
        shown: dict[str, Any] = {"posted": 1 if fault == "wrong-output" else arguments["entry"]}
        text = [{"type": "text", "text": json.dumps(shown)}]
        result = {"content": text, "structuredContent": shown, "isError": fault == "tool-error"}
        return _result(message, result)


def _result(message: dict[str, Any], result: dict[str, Any]) -> web.Response:
    return web.json_response(
        {"jsonrpc": "2.0", "id": message["id"], "result": {"resultType": "complete", **result}}
    )


async def _serve(account: Path, ready: Path, port: int) -> None:
    app = web.Application()
    app.router.add_post("/mcp", FaultyUpstream(account).serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/mcp"
    ready.write_text(json.dumps({"url": url}), encoding="utf-8")
    await asyncio.Event().wait()


def main() -> None:
    """Run as a process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--account", type=Path, required=True)
    parser.add_argument("--ready", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    chosen = parser.parse_args()
    asyncio.run(_serve(chosen.account, chosen.ready, chosen.port))


if __name__ == "__main__":
    main()
