"""The one ASGI application: guards first, then the hot paths, then everything else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.routing import BaseRoute, Router

from watchkeeper.api.respond import send_problem, unexpected
from watchkeeper.core.errors import Forbidden, Invalid, NotFound, TooLarge, WatchkeeperError
from watchkeeper.gateways.otlp.endpoint import PATHS as OTLP

Application = Callable[[Any, Any, Any], Awaitable[None]]

LARGE = frozenset({"/v1/apply", "/v1/policy/replays", *OTLP})
"""Paths beside the gateways' own that take the larger body: a whole directory of contracts."""
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})


class Guard:
    """Checks what every request must pass before any route sees it.

    Over TCP the Host must be a loopback name or the plane's public one, and the Origin absent or
    loopback: a web page whose name was rebound to 127.0.0.1 reaches nothing. Bodies are bounded
    by what is declared or, where nothing is declared, while they stream.
    """

    def __init__(
        self,
        *,
        hot: Mapping[str, Application],
        gateways: Mapping[str, Application],
        rest: Application,
        max_body: int,
        max_gateway_body: int,
        public_url: str = "",
    ) -> None:
        self._hot = hot
        self._gateways = tuple(gateways.items())
        self._rest = rest
        self._max_body = max_body
        self._max_gateway_body = max_gateway_body
        self._hosts = _LOOPBACK | {_without_port(public_url.removeprefix("https://"))} - {""}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        gateway = self._gateway(path)
        large = gateway is not None or path in LARGE
        limit = self._max_gateway_body if large else self._max_body
        reply = _Reply(send)
        try:
            streamed = _check(scope, limit, self._hosts)
            hot = self._hot.get(path) if scope["method"] == "POST" else None
            application = gateway or hot or self._rest
            await application(scope, bounded(receive, limit) if streamed else receive, reply)
        except WatchkeeperError as error:
            if not reply.started:
                await send_problem(send, error)
        except Exception as error:
            if reply.started:
                raise
            await send_problem(send, unexpected(error))

    def _gateway(self, path: str) -> Application | None:
        for prefix, application in self._gateways:
            if path == prefix or path.startswith(prefix + "/"):
                return application
        return None


class _Reply:
    """Passes an answer on and remembers whether it has begun."""

    __slots__ = ("_send", "started")

    def __init__(self, send: Any) -> None:
        self._send = send
        self.started = False

    async def __call__(self, message: Any) -> None:
        """Pass one message on."""
        self.started = True
        await self._send(message)


def bounded(receive: Any, limit: int) -> Any:
    """Return a `receive` that raises `TooLarge` once a streamed body passes the limit."""
    left = limit

    async def take() -> Any:
        nonlocal left
        message = await receive()
        if message["type"] == "http.request":
            left -= len(message.get("body", b""))
            if left < 0:
                raise _too_large(limit)
        return message

    return take


def _check(scope: Any, limit: int, own: frozenset[str]) -> bool:
    """Check lengths, Host and Origin; tell whether a body of unknown length follows."""
    streamed = False
    hosts = []
    for name, value in scope["headers"]:
        if name == b"content-length" and int(value) > limit:
            raise _too_large(limit)
        if name == b"transfer-encoding":
            streamed = True
        elif name == b"host":
            hosts.append(value.decode("latin-1"))
        elif name == b"origin":
            _check_origin(value.decode("latin-1"))
    # a Unix socket has no client address; only TCP can be reached by a rebound name
    if scope["client"] is not None:
        _check_host(hosts, own)
    return streamed


def _check_host(hosts: list[str], own: frozenset[str]) -> None:
    if len(hosts) != 1:
        raise Invalid("a request needs exactly one Host header", code="wrong_host")
    if _without_port(hosts[0]) not in own:
        raise Forbidden(
            "this plane answers to 127.0.0.1, localhost and its public_url only",
            code="wrong_host",
            rule="plane/host",
            remedy="use the address that `watchkeeper status` shows",
        )


def _check_origin(origin: str) -> None:
    scheme, _, rest = origin.partition("://")
    if scheme not in ("http", "https") or _without_port(rest) not in _LOOPBACK:
        raise Forbidden("web pages may not call this plane", code="wrong_origin", rule="plane/host")


def _without_port(host: str) -> str:
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"the body is larger than {limit:,} bytes",
        rule="plane/body-limit",
        remedy="send less at once, or raise the plane's max_body setting",
    )


async def _nothing_here(scope: Any, receive: Any, send: Any) -> None:
    await send_problem(
        send,
        NotFound("there is no such route", remedy="see /v1/openapi.json for those there are"),
    )


def assemble(
    routes: list[BaseRoute],
    *,
    hot: Mapping[str, Application],
    gateways: Mapping[str, Application],
    max_body: int,
    max_gateway_body: int,
    public_url: str = "",
) -> Guard:
    """Put the application together: `hot` by exact path, `gateways` by path prefix."""
    return Guard(
        hot=hot,
        gateways=gateways,
        rest=Router(routes, redirect_slashes=False, default=_nothing_here),
        max_body=max_body,
        max_gateway_body=max_gateway_body,
        public_url=public_url,
    )
