"""`POST /v1/decide`: the hot path, plain ASGI with nothing between the socket and the gates."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

from pydantic import ValidationError

from watchkeeper.api.callers import bearer_of
from watchkeeper.api.respond import send_bytes, send_problem, unexpected
from watchkeeper.api.rooms import Rooms
from watchkeeper.api.table import say_invalid
from watchkeeper.core.digest import parse
from watchkeeper.core.errors import Invalid, Unauthenticated, WatchkeeperError
from watchkeeper.core.tracing import read_traceparent
from watchkeeper.decide.held.holding import decide_and_hold
from watchkeeper.wire.decisions import Answer, Ask

LONGEST_WAIT_SECONDS = 300.0


class Decide:
    """The ASGI endpoint of the decide API."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Decide one action and answer 200 with permit, hold or deny; errors are problems."""
        try:
            token = bearer_of(scope["headers"])
            if token is None or not token.startswith("wkr_"):
                raise Unauthenticated(
                    "a run token is needed",
                    rule="identity/token",
                    remedy="open a run and send its token as `Authorization: Bearer wkr_…`; "
                    "one of a replay is for MCP and model calls alone",
                )
            ask = read_ask(await read_all(receive))
            if ask.traceparent is None and (given := read_context(scope["headers"])) is not None:
                ask = ask.model_copy(update={"traceparent": given})
            wait = read_wait(scope["query_string"])
            answer = await self._decide(receive, token, ask, wait)
            if answer is None:
                return
        except WatchkeeperError as error:
            await send_problem(send, error)
        except Disconnected:
            return
        except Exception as error:
            await send_problem(send, unexpected(error))
        else:
            await send_bytes(send, 200, answer.model_dump_json().encode())

    async def _decide(self, receive: Any, token: str, ask: Ask, wait: float) -> Answer | None:
        """Return the answer, or None when the caller hung up while it waited.

        An approval that came after that is not used up: the same call finds it.
        """
        gone = asyncio.Event()
        watch = asyncio.create_task(_watch(receive, gone)) if wait else None
        try:
            return await decide_and_hold(
                self._rooms.decider,
                token,
                ask,
                performer="agent",
                hold_seconds=wait,
                gone=gone,
                on_hold=lambda answer, waited: None,
            )
        finally:
            if watch is not None:
                watch.cancel()


async def _watch(receive: Any, gone: asyncio.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    gone.set()


class Disconnected(Exception):
    """The caller went away before its request was whole."""


async def read_all(receive: Any) -> bytes:
    """Return the whole body; its size is bounded before it gets here."""
    message = await receive()
    if message["type"] != "http.request":
        raise Disconnected
    if not message.get("more_body"):
        return bytes(message["body"])
    chunks = [message["body"]]
    while message.get("more_body"):
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        chunks.append(message["body"])
    return b"".join(chunks)


def read_ask(raw: bytes) -> Ask:
    """Read an action from strict JSON; raise `Invalid` that names the field."""
    value = parse(raw)
    try:
        return Ask.model_validate(value)
    except ValidationError as error:
        raise say_invalid(error) from None


def read_context(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the W3C trace context that came with a request, if one did."""
    for name, value in headers:
        if name == b"traceparent":
            context = read_traceparent(value.decode("latin-1"))
            return None if context is None else context.text()
    return None


def read_wait(query: bytes) -> float:
    """Return how many seconds the caller would wait for a held action, 0 if it says nothing."""
    if not query:
        return 0.0
    given = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    if set(given) - {"wait_seconds"}:
        raise Invalid("unknown query parameter", where="query", remedy="known here: wait_seconds")
    try:
        seconds = float(given["wait_seconds"][-1])
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT_SECONDS:
        raise Invalid(
            f"wait_seconds must be 0 to {LONGEST_WAIT_SECONDS:g}", where="query: wait_seconds"
        )
    return seconds
