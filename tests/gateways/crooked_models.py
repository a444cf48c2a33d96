"""A model provider on its bad days: what it does with each request is in its script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.gateways.serving import serving

WORDS = ("one ", "two ", "three ")
USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


class Broken(Exception):
    """Raised to break the connection: nothing more is sent."""


@dataclass
class CrookedModels:
    """One provider; each request takes the next word of the script, the last one stays.

    A word is a status (`500`, `429:2` with that Retry-After), `well`, `redirect`, `silent`,
    `hang-up` (no answer), `pause` (a stream after two words), `cut` (broken off there),
    `cut-at-once` (before any), `error-event` (a stream that begins with an error), `error-late`
    (one that ends so), `flood` (100 MB).
    """

    script: list[str] = field(default_factory=lambda: ["well"])
    url: str = ""
    heard: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        asked = json.loads(body)
        word = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        self.heard.append(asked)
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        self.keys.append(headers.get("authorization", ""))
        status, _, after = word.partition(":")
        if status.isdigit():
            extra = [(b"retry-after", after.encode())] if after else []
            await respond(send, int(status), {"error": {"message": "sk-canary"}}, extra)
        elif word == "redirect":
            extra = [(b"location", b"http://127.0.0.1:1/elsewhere")]
            await respond(send, 307, {}, extra)
        elif word == "silent":
            await self.release.wait()
        elif word == "hang-up":
            raise Broken
        elif asked.get("stream"):
            await self._stream(send, word)
        else:
            message = {"role": "assistant", "content": "".join(WORDS)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            await respond(send, 200, {**base(asked), "choices": [choice], "usage": USAGE})

    async def _stream(self, send: Any, word: str) -> None:
        head = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        lines: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": {"content": one}, "finish_reason": None}]}
            for one in WORDS
        ]
        lines.append({"choices": [], "usage": USAGE})
        if word == "flood":
            lines = [{"choices": [{"index": 0, "delta": {"content": "x" * 60_000}}]}] * 2000
        if word == "error-late":
            lines[-1] = {"error": {"message": "overloaded", "type": "server_error"}}
        if word == "error-event":
            lines = [{"error": {"message": "overloaded", "type": "server_error"}}]
        for place, line in enumerate(lines):
            if word == "pause" and place == 2:
                await self.release.wait()
            if word == "cut-at-once" or (word == "cut" and place == 2):
                raise Broken
            data = b"data: " + json.dumps({**base({}), **line}).encode() + b"\n\n"
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


def base(asked: dict[str, Any]) -> dict[str, Any]:
    """Return what every answer holds."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": asked.get("model", ""),
    }


async def respond(send: Any, status: int, body: dict[str, Any], extra: Any = ()) -> None:
    """Send a whole answer."""
    head = [(b"content-type", b"application/json"), *extra]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


@asynccontextmanager
async def crooked_models(*script: str) -> AsyncIterator[CrookedModels]:
    """Serve one on 127.0.0.1."""
    app = CrookedModels(list(script) or ["well"])

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except Broken:
            transport = send.__self__.transport
            transport.abort()

    async with serving(serve) as url:
        app.url = f"{url}/v1"
        try:
            yield app
        finally:
            app.release.set()
