"""The demo's model providers on this machine: several houses behind one address.

A house is a path: `/v1` and `/nordic/v1` speak OpenAI's protocol, `/parley/v1` Anthropic's. They
answer by the plans of `demo.plans`, so the same chat always gets the same answer, count tokens
by `demo.estimate`, and want their key. They take their time, some more than others, and can be
told to fail now and then: with a 500, then with a 429, in turn.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from watchkeeper.core.clock import Clock, SystemClock
from watchkeeper.core.digest import digest, parse
from watchkeeper.core.errors import Invalid
from watchkeeper.demo.estimate import message_tokens, prompt_tokens
from watchkeeper.demo.http import serve_app
from watchkeeper.demo.plans.conversation import Step
from watchkeeper.demo.plans.next_step import next_step
from watchkeeper.demo.protocols.asked import Asked, Said, Spoken
from watchkeeper.demo.protocols.chat import ChatCompletions, message_of
from watchkeeper.demo.protocols.messages import Messages
from watchkeeper.demo.protocols.responses import Responses

LARGEST_BODY = 4 * 1024 * 1024
RETRY_SECONDS = "1"


@dataclass(frozen=True, slots=True)
class House:
    """One provider: what it serves, and the median time until it answers, in seconds."""

    name: str
    path: str
    speaks: Mapping[str, Spoken]
    """By path, after `/v1/`."""
    models: Mapping[str, float]


_OPENAI: Mapping[str, Spoken] = {"chat/completions": ChatCompletions(), "responses": Responses()}
HOUSES = (
    House("local", "", _OPENAI, {"small-1": 0.04, "large-1": 0.18}),
    House("nordic", "/nordic", _OPENAI, {"small-2": 0.07, "large-2": 0.3}),
    House("parley", "/parley", {"messages": Messages()}, {"careful-1": 0.15}),
)


@dataclass(slots=True)
class ModelServer:
    """The providers: their key, how often a model fails, and how long a token takes."""

    key: str
    fail_every: Mapping[str, int] = field(default_factory=dict)
    """For each house and model, as `local/small-1`: every n-th call fails."""
    piece_seconds: float = 0.01
    """Pause between two pieces of a stream."""
    unhurried: float = 1.0
    """Multiplies the time until an answer; 0: at once."""
    clock: Clock = field(default_factory=SystemClock)
    _calls: dict[str, int] = field(default_factory=dict)

    def app(self) -> Starlette:
        """Return the ASGI application."""
        routes = []
        for house in HOUSES:
            routes.append(Route(f"{house.path}/v1/models", self._listing(house)))
            routes += [
                Route(f"{house.path}/v1/{path}", self._answering(house, spoken), methods=["POST"])
                for path, spoken in house.speaks.items()
            ]
        return Starlette(routes=routes)

    def _listing(self, house: House) -> Any:
        async def listing(request: Request) -> Response:
            if refused := self._refuse(request):
                return refused
            data = [
                {"id": name, "object": "model", "owned_by": house.name} for name in house.models
            ]
            return JSONResponse({"object": "list", "data": data})

        return listing

    def _answering(self, house: House, spoken: Spoken) -> Any:
        async def answering(request: Request) -> Response:
            if refused := self._refuse(request):
                return refused
            try:
                asked = spoken.read(parse(await _read_body(request)))
                if asked.model not in house.models:
                    return _problem(404, f"no model {asked.model!r}", "model_not_found")
                step = next_step(asked.messages)
            except (Invalid, KeyError, TypeError, AttributeError) as error:
                return _problem(400, f"the request is not a chat: {error}", "invalid_request_error")
            name = f"{house.name}/{asked.model}"
            self._calls[name] = count = self._calls.get(name, 0) + 1
            if failed := self._mishap(name, count):
                return failed
            await asyncio.sleep(self.unhurried * house.models[asked.model] * _slowness(name, count))
            return self._answer(spoken, asked, step)

        return answering

    def _mishap(self, name: str, count: int) -> Response | None:
        every = self.fail_every.get(name)
        if not every or count % every:
            return None
        if count // every % 2:
            return _problem(500, "the model is overloaded, try again", "server_error")
        refused = _problem(429, "too many calls, try again", "rate_limit_exceeded")
        refused.headers["retry-after"] = RETRY_SECONDS
        return refused

    def _answer(self, spoken: Spoken, asked: Asked, step: Step) -> Response:
        said = Said(
            id=digest("chat", [asked.model, list(asked.messages)]).removeprefix("sha256:")[:24],
            created=self.clock.now() // 1_000_000,
            model=asked.model,
            step=step,
            position=len(asked.messages),
            tokens_in=prompt_tokens(asked.messages, asked.tools),
            tokens_out=0,
        )
        made = message_tokens(message_of(said))
        said = replace(said, tokens_out=min(made, asked.most) if asked.most else made)
        if not asked.stream:
            return JSONResponse(spoken.whole(said))
        return StreamingResponse(self._stream(spoken, said, asked), media_type="text/event-stream")

    async def _stream(self, spoken: Spoken, said: Said, asked: Asked) -> AsyncIterator[bytes]:
        for place, piece in enumerate(spoken.pieces(said, asked)):
            if place:
                await asyncio.sleep(self.piece_seconds)
            yield piece

    def _refuse(self, request: Request) -> Response | None:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        given = request.headers.get("x-api-key") or bearer
        if hmac.compare_digest(given.encode(), self.key.encode()):
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


def _slowness(name: str, count: int) -> float:
    """Return a factor around 1, the same for the same call; one in some thirty is a slow one."""
    drawn = hashlib.sha256(f"{name}/{count}".encode()).digest()
    return (0.5 + drawn[0] / 255) * (4 if drawn[1] < 8 else 1)


def _problem(status: int, message: str, code: str) -> Response:
    error = {"message": message, "type": code, "code": code}
    return JSONResponse({"type": "error", "error": error}, status)
