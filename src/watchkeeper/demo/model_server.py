"""A model provider on this machine that speaks the OpenAI chat protocol.

It answers by the plans of `demo.plans`, so the same chat always gets the same answer, counts
tokens by `demo.estimate`, and wants its key. It can be told to fail now and then.
"""

from __future__ import annotations

import asyncio
import hmac
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from watchkeeper.core.clock import Clock, SystemClock
from watchkeeper.core.digest import canonical, digest, parse
from watchkeeper.core.errors import Invalid
from watchkeeper.demo.estimate import message_tokens, prompt_tokens
from watchkeeper.demo.http import serve_app
from watchkeeper.demo.plans.conversation import Step, wire_name
from watchkeeper.demo.plans.next_step import next_step

MODELS = ("small-1", "large-1")
LARGEST_BODY = 4 * 1024 * 1024
PIECE = 24
"""Characters of one piece of a streamed answer."""


@dataclass(slots=True)
class ModelServer:
    """The provider: its key, how often a model fails, and how long a token takes."""

    key: str
    fail_every: Mapping[str, int] = field(default_factory=dict)
    """For each model: every n-th call is answered with a 500."""
    piece_seconds: float = 0.01
    """Pause between two pieces of a stream."""
    clock: Clock = field(default_factory=SystemClock)
    _calls: dict[str, int] = field(default_factory=dict)

    def app(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/models", self._models),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
            ]
        )

    async def _models(self, request: Request) -> Response:
        if refused := self._refuse(request):
            return refused
        data = [{"id": name, "object": "model", "owned_by": "local"} for name in MODELS]
        return JSONResponse({"object": "list", "data": data})

    async def _chat(self, request: Request) -> Response:
        if refused := self._refuse(request):
            return refused
        try:
            body = parse(await _read_body(request))
            model, messages = body["model"], body["messages"]
            if model not in MODELS:
                return _problem(404, f"no model {model!r}", "model_not_found")
            step = next_step(messages)
        except (Invalid, KeyError, TypeError, AttributeError) as error:
            return _problem(400, f"the request is not a chat: {error}", "invalid_request_error")
        self._calls[model] = count = self._calls.get(model, 0) + 1
        if (every := self.fail_every.get(model)) and count % every == 0:
            return _problem(500, "the model is overloaded, try again", "server_error")
        message = _message(step, len(messages))
        usage = _usage(messages, body.get("tools") or [], message, body.get("max_tokens"))
        head = {
            "id": "chatcmpl-" + digest("chat", [model, messages]).removeprefix("sha256:")[:24],
            "created": self.clock.now() // 1_000_000,
            "model": model,
        }
        reason = "tool_calls" if step.tool else "stop"
        if body.get("stream"):
            with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
            return StreamingResponse(
                self._stream(head, message, reason, usage if with_usage else None),
                media_type="text/event-stream",
            )
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return JSONResponse(
            {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
        )

    async def _stream(
        self,
        head: dict[str, Any],
        message: dict[str, Any],
        reason: str,
        usage: dict[str, int] | None,
    ) -> AsyncIterator[bytes]:
        head = {**head, "object": "chat.completion.chunk"}
        text = str(message["content"] or "")
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": text[at : at + PIECE]} for at in range(0, len(text), PIECE)]
        for index, asked in enumerate(message.get("tool_calls", ())):
            arguments = asked["function"]["arguments"]
            first = {"name": asked["function"]["name"], "arguments": ""}
            deltas.append({"tool_calls": [{"index": index, **asked, "function": first}]})
            deltas += [
                {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
                for piece in (arguments[at : at + 64] for at in range(0, len(arguments), 64))
            ]
        for delta in deltas:
            yield _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
            await asyncio.sleep(self.piece_seconds)
        yield _event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        if usage:
            yield _event({**head, "choices": [], "usage": usage})
        yield b"data: [DONE]\n\n"

    def _refuse(self, request: Request) -> Response | None:
        given = request.headers.get("authorization", "")
        if hmac.compare_digest(given.encode(), f"Bearer {self.key}".encode()):
            return None
        return _problem(401, "wrong key", "invalid_api_key")


async def serve_models(server: ModelServer, bound: socket.socket) -> None:
    """Serve on a socket that listens already, until cancelled."""
    await serve_app(server.app(), bound)


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise Invalid("the request is too large")
    return bytes(body)


def _message(step: Step, position: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": step.says}
    if step.tool:
        arguments = canonical(dict(step.arguments or {})).decode()
        message["tool_calls"] = [
            {
                "id": f"call_{position:03d}",
                "type": "function",
                "function": {"name": wire_name(step.tool), "arguments": arguments},
            }
        ]
    return message


def _usage(
    messages: list[dict[str, Any]],
    tools: list[dict[str, Any]],
    message: dict[str, Any],
    most: int | None,
) -> dict[str, int]:
    given = prompt_tokens(messages, tools)
    made = message_tokens(message)
    made = min(made, most) if most else made
    return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}


def _event(body: dict[str, Any]) -> bytes:
    return b"data: " + canonical(body) + b"\n\n"


def _problem(status: int, message: str, code: str) -> Response:
    return JSONResponse({"error": {"message": message, "type": code, "code": code}}, status)
