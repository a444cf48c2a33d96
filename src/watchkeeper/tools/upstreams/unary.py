"""One gRPC call, at a checked address. Loaded with the first: the client library is large.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import grpc.aio

from watchkeeper.core.addresses import Place
from watchkeeper.tools.upstreams.connecting import CheckedResolver, Lookup, may_dial
from watchkeeper.tools.upstreams.model import UpstreamFailure


class Answered(NamedTuple):
    """How a call ended: the name of its status, what it says, and the answer where it is OK."""

    status: str
    words: str
    body: bytes


async def call(
    place: Place,
    method: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    allow_private: bool,
    lookup: Lookup,
    largest: int,
    seconds: float,
) -> Answered:
    """Call a method that takes one message and answers one, and wait for it a bounded time.

    Raises `UpstreamFailure` where there is no address to call.
    """
    host = f"[{place.host}]" if ":" in place.host else place.host
    options: list[tuple[str, Any]] = [
        ("grpc.default_authority", f"{host}:{place.port}"),
        ("grpc.enable_http_proxy", 0),
        ("grpc.enable_retries", 0),
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.max_receive_message_length", largest),
    ]
    target = await _target(place, allow_private, lookup)
    if place.scheme == "https":
        options.append(("grpc.ssl_target_name_override", place.host))
        roots = await asyncio.to_thread(_roots)
        secured = grpc.ssl_channel_credentials(root_certificates=roots)
        channel = grpc.aio.secure_channel(target, secured, options)
    else:
        channel = grpc.aio.insecure_channel(target, options)
    async with channel:
        ask = channel.unary_unary(method)
        metadata = tuple((name, value) for name, value in headers.items())
        try:
            answer = await ask(
                body, timeout=seconds, metadata=metadata, compression=grpc.Compression.Gzip
            )
        except grpc.aio.AioRpcError as error:
            return Answered(error.code().name, str(error.details() or ""), b"")
        except (TypeError, ValueError):
            raise UpstreamFailure("a header for it is none of gRPC's", reached=False) from None
    return Answered("OK", "", bytes(answer))


async def _target(place: Place, allow_private: bool, lookup: Lookup) -> str:
    """Return the very addresses that are dialled: the library resolves no name."""
    if place.address is not None:
        found = [str(place.address)]
    else:
        resolver = CheckedResolver(lookup, allow_private=allow_private)
        try:
            resolved = await resolver.resolve(place.host, place.port, socket.AF_UNSPEC)
        except OSError as error:
            raise UpstreamFailure(str(error.strerror or error), reached=False) from None
        found = [one["host"] for one in resolved]
    addresses = [ip_address(one) for one in dict.fromkeys(found)]
    if not all(may_dial(one, allow_private=allow_private) for one in addresses):
        raise UpstreamFailure("its address is one that nothing may be called at", reached=False)
    # it takes those of one family
    version = min(one.version for one in addresses)
    shown = (
        f"[{one}]:{place.port}" if version == 6 else f"{one}:{place.port}"
        for one in addresses
        if one.version == version
    )
    return f"ipv{version}:{','.join(shown)}"


def _roots() -> bytes | None:
    """Return whom this machine trusts to name servers; None: whom the library does."""
    path = ssl.get_default_verify_paths().cafile
    return Path(path).read_bytes() if path else None
