"""``POST /mcp``: one address for both protocol eras, no state between requests."""

from __future__ import annotations

import logging
import re
from typing import Any, Protocol

from watchkeeper.core.errors import Invalid, TooLarge, Unauthenticated, WatchkeeperError
from watchkeeper.gateways.callers import Callers
from watchkeeper.gateways.http import (
    CallerGone,
    answer,
    bearer,
    is_own_origin,
    read_body,
    read_headers,
    sent_twice,
)
from watchkeeper.gateways.mcp.cancellations import Cancellations
from watchkeeper.gateways.mcp.envelope import (
    ROUTING_HEADERS,
    Rejected,
    Request,
    read_request,
)
from watchkeeper.gateways.mcp.exchange import Exchange, accepts, reject
from watchkeeper.gateways.mcp.listening import Listeners
from watchkeeper.gateways.mcp.results import SERVER, own_result
from watchkeeper.gateways.mcp.tasks import METHODS as TASK_METHODS
from watchkeeper.gateways.offers import Offers
from watchkeeper.identity.model import Caller
from watchkeeper.tools.upstreams.protocol import (
    HANDSHAKE_VERSIONS,
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    LATEST_HANDSHAKE,
    METHOD_NOT_FOUND,
    MODERN_VERSION,
    TASKS_EXTENSION,
    UNAUTHENTICATED,
    VERSION_HEADER,
)

log = logging.getLogger(__name__)

LARGEST_BODY = 1024 * 1024
_LIST_FRESH_MS = 5_000
_QUERY_TOKENS = re.compile(rb"(?i)(?:^|[&;])(?:access_)?token=")
_INSTRUCTIONS = (
    "Every call is governed. A result that says DENIED names the rule and what is allowed "
    "instead; do not repeat it unchanged. A result that says PENDING APPROVAL waits for a "
    "person: send exactly the same call again later, and it runs once."
)


class Calls(Protocol):
    """What answers the calls of tools."""

    async def call(
        self, token: str, caller: Caller, request: Request, exchange: Exchange
    ) -> dict[str, Any] | None:
        """Return the result of a call; None when the caller hung up."""
        ...

    async def follow(self, token: str, caller: Caller, request: Request) -> dict[str, Any]:
        """Answer what a client asks of a call that it follows as a task."""
        ...


class McpEndpoint:
    """The ASGI app of the MCP gateway."""

    def __init__(
        self,
        callers: Callers,
        offers: Offers,
        calls: Calls,
        listeners: Listeners,
        cancellations: Cancellations,
    ) -> None:
        self._callers = callers
        self._offers = offers
        self._calls = calls
        self._listeners = listeners
        self._cancellations = cancellations

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one HTTP request."""
        headers = read_headers(scope)
        modern = headers.get(VERSION_HEADER) not in (None, *HANDSHAKE_VERSIONS)
        try:
            await self._serve(scope, receive, send, headers)
        except CallerGone:
            return
        except Rejected as rejected:
            await reject(send, rejected, modern=modern, host=headers.get("host"))
        except TooLarge as error:
            await _refuse(send, 413, str(error))
        except Invalid as error:
            await _refuse(send, 415, str(error))
        except Unauthenticated as error:
            # one that sent no token is told of no error (RFC 6750, 3.1)
            said = {"error": "invalid_token"} if headers.get("authorization") else {}
            unknown = Rejected(UNAUTHENTICATED, str(error), challenge=said)
            await reject(send, unknown, modern=modern, host=headers.get("host"))
        except WatchkeeperError as error:
            await _refuse(send, error.status, str(error))

    async def _serve(self, scope: Any, receive: Any, send: Any, headers: dict[str, str]) -> None:
        if not is_own_origin(headers):
            await _refuse(send, 403, "web pages from elsewhere may not call this address")
            return
        if scope["method"] != "POST":
            # there is no session to end and no stream that outlives a request
            await answer(send, 405, b"", [(b"allow", b"POST")])
            return
        if _QUERY_TOKENS.search(scope["query_string"]):
            await _refuse(send, 400, "a token in the address is not taken; send it as a header")
            return
        token = bearer(headers)
        caller = await self._callers.recognise(token)
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Invalid("the body must be application/json")
        takes_json, streams = accepts(headers)
        if not takes_json:
            await _refuse(send, 406, "the caller must accept application/json")
            return
        twice = sent_twice(scope, ROUTING_HEADERS)
        if twice is not None:
            raise Rejected(HEADER_MISMATCH, f"the {twice} header came more than once")
        request = read_request(await read_body(receive, headers, LARGEST_BODY), headers)
        if request is None or request.id is None:
            await self._take_note(caller, request, send)
            return
        exchange = Exchange(
            receive,
            send,
            request.id,
            streams=streams,
            modern=request.modern,
            host=headers.get("host"),
        )
        if request.method == "subscriptions/listen" and not streams:
            await _refuse(send, 406, "subscriptions/listen needs text/event-stream")
            return
        await exchange.run(self._dispatch(token, caller, request, exchange))

    async def _take_note(self, caller: Caller, note: Request | None, send: Any) -> None:
        """Acknowledge a notification; only a cancellation of the handshake era has an effect."""
        if note is None:
            raise Rejected(INVALID_REQUEST, "this server asks nothing, so there is no answer to it")
        if note.method == "notifications/cancelled" and not note.modern:
            self._cancellations.cancel(caller.run, note)
        await answer(send, 202)

    async def _dispatch(
        self, token: str, caller: Caller, request: Request, exchange: Exchange
    ) -> dict[str, Any] | None:
        try:
            if request.method == "tools/call":
                return await self._calls.call(token, caller, request, exchange)
            caller = await self._callers.identify(token)
            if request.method == "subscriptions/listen" and request.modern:
                return await self._listeners.listen(caller.agent, request, exchange)
            if request.method in TASK_METHODS and request.modern:
                return await self._calls.follow(token, caller, request)
            return own_result(self._reply(caller, request), modern=request.modern)
        except Unauthenticated as error:
            challenge = {"error": "invalid_token"}
            raise Rejected(UNAUTHENTICATED, str(error), challenge=challenge) from None
        except WatchkeeperError as error:
            raise Rejected(INTERNAL_ERROR, str(error)) from None
        except Rejected:
            raise
        except Exception:
            log.exception("MCP request %s of run %s failed", request.method[:60], caller.run)
            raise Rejected(INTERNAL_ERROR, "Internal error; the plane's log says more") from None

    def _reply(self, caller: Caller, request: Request) -> dict[str, Any]:
        method = request.method
        if method == "tools/list":
            return self._list_tools(caller, request)
        if method == "server/discover" and request.modern:
            return {
                "supportedVersions": [MODERN_VERSION],
                "capabilities": {
                    "tools": {"listChanged": True},
                    "extensions": {TASKS_EXTENSION: {}},
                },
                "instructions": _INSTRUCTIONS,
                "ttlMs": 60_000,
                "cacheScope": "private",
            }
        if method == "initialize" and not request.modern:
            return _agree(request)
        if method == "ping" and not request.modern:
            return {}
        raise Rejected(METHOD_NOT_FOUND, f"Method not found: {method[:60]}")

    def _list_tools(self, caller: Caller, request: Request) -> dict[str, Any]:
        if request.params.get("cursor") is not None:
            raise Rejected(INVALID_PARAMS, "there is one page of tools; no cursor leads further")

        def refused(tool: str) -> bool:
            return self._callers.lock_on(caller, tool=tool) is not None

        tools = self._offers.tools(caller.agent, caller.scope, refused)
        result: dict[str, Any] = {"tools": tools}
        if request.modern:
            result |= {"ttlMs": _LIST_FRESH_MS, "cacheScope": "private"}
        return result


def _agree(request: Request) -> dict[str, Any]:
    wanted = request.params.get("protocolVersion")
    if not isinstance(wanted, str):
        raise Rejected(INVALID_PARAMS, "params.protocolVersion must be text")
    return {
        "protocolVersion": wanted if wanted in HANDSHAKE_VERSIONS else LATEST_HANDSHAKE,
        "capabilities": {"tools": {}},
        "serverInfo": SERVER,
        "instructions": _INSTRUCTIONS,
    }


async def _refuse(send: Any, status: int, text: str) -> None:
    await answer(send, status, text.encode(), kind=b"text/plain; charset=utf-8")
