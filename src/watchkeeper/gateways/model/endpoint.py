"""Where agents call models: one app to a protocol, governed by the base URL alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.gateways.callers import Callers
from watchkeeper.gateways.http import (
    CallerGone,
    CallerWatch,
    answer,
    is_own_origin,
    read_body,
    read_headers,
)
from watchkeeper.gateways.model.calls import AskedCall
from watchkeeper.gateways.model.dialect import Dialect, ModelCall, Surface
from watchkeeper.gateways.model.errors import (
    ModelError,
    as_model_error,
    bad_request,
    unknown_model,
)
from watchkeeper.gateways.model.turns import Turns
from watchkeeper.gateways.offers import Offers

LARGEST_BODY = 8 * 1024 * 1024
_LARGEST_AT_ONCE = 128 * 1024
_MOST_VALUES_AT_ONCE = 1_000
"""Bytes of a body, and values in it, that are read on the event loop."""


class Calls(Protocol):
    """What answers the calls of a surface."""

    async def serve(self, asked: AskedCall) -> None:
        """Answer one call; raise `ModelError` or `WatchkeeperError` where nothing was sent."""
        ...


class ModelEndpoint:
    """The ASGI app of one surface of the model gateway."""

    def __init__(
        self, surface: Surface, callers: Callers, offers: Offers, calls: Calls, turns: Turns
    ) -> None:
        self._surface = surface
        self._dialects = {dialect.path: dialect for dialect in surface.dialects}
        self._callers = callers
        self._offers = offers
        self._calls = calls
        self._turns = turns

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one HTTP request."""
        path = scope["path"].rpartition(self._surface.prefix)[2].rstrip("/")
        dialect = self._dialects.get(path) if scope["method"] == "POST" else None
        shape = dialect.errors if dialect else self._surface.errors
        try:
            headers = read_headers(scope)
            if not is_own_origin(headers):
                raise bad_request(403, "origin", "web pages from elsewhere may not call this")
            token = self._surface.token(headers)
            if dialect is not None:
                body = await read_body(receive, headers, LARGEST_BODY)
                call = await _read(dialect, body, headers)
                caller = await self._callers.recognise(token)
                watch = CallerWatch(receive)
                asked = AskedCall(token, caller, headers, dialect, call, body, watch, send)
                with self._turns.take(caller.agent):
                    try:
                        await self._calls.serve(asked)
                    finally:
                        await watch.stop()
            else:
                await self._answer_other(token, scope["method"], path, send)
        except CallerGone:
            return
        except ModelError as error:
            await error.send(send, shape, None)
        except WatchkeeperError as error:
            await as_model_error(error).send(send, shape, None)

    async def _answer_other(self, token: str, method: str, path: str, send: Any) -> None:
        """List the models, or say that something is not served."""
        surface = self._surface
        models = surface.models_path
        if method == "GET" and (path == models or path.startswith(f"{models}/")):
            await self._list_models(token, path.removeprefix(models).removeprefix("/"), send)
            return
        for (asked, start), why in surface.unserved.items():
            if method == asked and (path == start or path.startswith(f"{start}/")):
                raise bad_request(404, "not_served", why)
        served = ", ".join(f"POST {surface.prefix}{one}" for one in self._dialects)
        raise bad_request(
            404, "not_found", f"{method} {path[:80]} is not served; {served} and "
            f"GET {surface.prefix}{models} are"
        )  # fmt: skip

    async def _list_models(self, token: str, wanted: str, send: Any) -> None:
        caller = await self._callers.identify(token)
        known = self._offers.models(caller.agent, self._surface.protocol, caller.scope)
        names = [one for one in known if self._callers.lock_on(caller, model=one) is None]
        if not wanted:
            await answer(send, 200, self._surface.list_models(names))
            return
        if wanted not in known:
            raise unknown_model(wanted)
        if wanted not in names:
            lock = self._callers.lock_on(caller, model=wanted)
            raise bad_request(403, "locked", f"{wanted} is refused by rule lock/{lock}")
        await answer(send, 200, self._surface.show_model(wanted))


async def _read(dialect: Dialect, body: bytes, headers: Mapping[str, str]) -> ModelCall:
    """Read a body, beside the event loop where there is much of it."""
    if len(body) <= _LARGEST_AT_ONCE:
        values = body.count(b",") + body.count(b"{") + body.count(b"[")
        if values <= _MOST_VALUES_AT_ONCE:
            return dialect.read(body, headers)
    return await asyncio.to_thread(dialect.read, body, headers)
