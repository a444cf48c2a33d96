"""What the model gateway is compared with on its own stack: a proxy that only forwards.

`python -m tests.benchmarks.forwarding READY PROVIDER_URL`: the plane's server class and its HTTP
client library, nothing read, nothing checked, nothing kept.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp

from watchkeeper.plane.server import Server, bind_loopback


def forward_to(provider: str) -> Any:
    """Return an ASGI app that sends every POST to one address and passes the answer back."""
    session: aiohttp.ClientSession | None = None

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        nonlocal session
        if session is None:
            session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=256))
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {"content-type": "application/json", "authorization": "Bearer stub"}
        async with session.post(provider, data=body, headers=headers) as response:
            kind = response.headers["content-type"].encode()
            if response.content_type != "text/event-stream":
                whole = await response.read()
                head = [(b"content-type", kind), (b"content-length", b"%d" % len(whole))]
                await send({"type": "http.response.start", "status": 200, "headers": head})
                await send({"type": "http.response.body", "body": whole})
                return
            head = [(b"content-type", kind)]
            await send({"type": "http.response.start", "status": 200, "headers": head})
            async for piece in response.content.iter_any():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    return app


async def serve(ready: Path, provider: str) -> None:
    """Serve until the process is killed."""
    listener = bind_loopback(0)
    server = Server(forward_to(provider), most_connections=2000, stop_seconds=1)
    await server.open([listener])
    ready.write_text(json.dumps({"port": listener.getsockname()[1]}), encoding="utf-8")
    await server.main_loop()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2]))
