"""Connecting to checked addresses only: names are resolved once, and what was checked is dialled.

Loaded when the first request is sent: the client library is slow to import.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from watchkeeper.core.addresses import Address, check_addresses, is_localhost, reach_of
from watchkeeper.core.errors import Invalid

log = logging.getLogger(__name__)

Lookup = Callable[[str, int, int], Awaitable[Sequence[tuple[int, str]]]]
"""Takes host, port and family; returns family and address of each answer."""

_RESOLVE_SECONDS = 5.0
_MOST_ADDRESSES = 64
_MOST_UNASKED = 8
"""Connections given up in a row on which the server spoke first."""


class AddressRefused(OSError):
    """A name leads, or a connection would go, where nothing may be called."""


class CheckedResolver(AbstractResolver):
    """Resolves a name and hands on its addresses only if all of them may be called."""

    def __init__(self, lookup: Lookup, *, allow_private: bool) -> None:
        self._lookup = lookup
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the checked addresses; raise `OSError` where there are none."""
        try:
            async with asyncio.timeout(_RESOLVE_SECONDS):
                found = list(await self._lookup(host, port, family))[:_MOST_ADDRESSES]
        except TimeoutError:
            raise OSError(None, "its name was not resolved in time") from None
        if not found:
            raise OSError(None, "its name has no address")
        try:
            check_addresses(
                host, (address for _, address in found), allow_private=self._allow_private
            )
        except Invalid as error:
            log.warning("%s", error)
            raise AddressRefused(None, "its name leads to an address it may not have") from None
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=kind,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, address in found
        ]

    async def close(self) -> None:
        """Hold nothing."""


class NotHttp(aiohttp.ClientError):
    """What a server says on a new connection is no HTTP: there it has to wait to be asked."""


class _Connector(aiohttp.TCPConnector):
    """Gives connections on which nothing came that nobody had asked for: it would be taken for
    the answer to what is asked next. Tells when a request has its own.
    """

    def __init__(self, connected: Callable[[], None], **options: Any) -> None:
        super().__init__(**options)
        self._connected = connected

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Any:
        """Return a connection, kept or new, for a request that is sent next."""
        for _ in range(_MOST_UNASKED):
            connection = await super().connect(req, traces, timeout)
            if connection.protocol is None or not connection.protocol.should_close:
                self._connected()
                return connection
            connection.close()
        raise NotHttp


def checked_connector(
    lookup: Lookup,
    *,
    connections: int,
    allow_private: bool,
    keep_alive_seconds: float,
    connected: Callable[[], None],
) -> aiohttp.TCPConnector:
    """Return a connector that dials checked addresses only, whatever gave it the address.

    `connected` is called in the task that sends a request, once that has its connection.
    """

    def open_socket(info: tuple[Any, ...]) -> socket.socket:
        """Look once more at the very address that is dialled next."""
        family, kind, protocol, _, target = info
        if not may_dial(ip_address(target[0]), allow_private=allow_private):
            raise AddressRefused(None, "its address is one that nothing may be called at")
        return socket.socket(family, kind, protocol)

    return _Connector(
        connected,
        limit=connections,
        # one server that answers nobody must not take the connections of all others
        limit_per_host=max(1, connections // 2),
        keepalive_timeout=keep_alive_seconds,
        resolver=CheckedResolver(lookup, allow_private=allow_private),
        socket_factory=open_socket,
    )


def may_dial(address: Address, *, allow_private: bool) -> bool:
    """Tell whether a connection may go to an address."""
    reach = reach_of(address)
    return reach == "public" or (reach == "private" and allow_private)


async def system_lookup(host: str, port: int, family: int) -> Sequence[tuple[int, str]]:
    """Ask the system's resolver."""
    # a machine without a network still has itself
    flags = 0 if is_localhost(host) else socket.AI_ADDRCONFIG
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, family=family, flags=flags
    )
    return [(one[0], str(one[4][0])) for one in found]
