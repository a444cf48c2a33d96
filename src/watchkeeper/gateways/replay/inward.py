"""Calling a gateway from within the plane, as an agent's request would: nothing is left out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from watchkeeper.gateways.http import AsgiApp


@dataclass(slots=True)
class Answered:
    """What a gateway answered; status 0: nothing."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


async def post(app: AsgiApp, path: str, body: bytes, headers: Mapping[str, str]) -> Answered:
    """Send one request to an app and return its whole answer; its caller never hangs up."""
    answered = Answered()
    parts: list[bytes] = []
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if waiting:
            return waiting.pop()
        return await asyncio.Future[dict[str, Any]]()

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answered.status = message["status"]
            for name, value in message["headers"]:
                answered.headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
        else:
            parts.append(message.get("body", b""))

    sent = {**headers, "content-type": "application/json", "content-length": str(len(body))}
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
    }
    await app(scope, receive, send)
    answered.body = b"".join(parts)
    return answered
