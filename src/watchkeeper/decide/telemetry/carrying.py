"""How a batch of spans gets to a receiver: OTLP over HTTP, or over gRPC."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from watchkeeper.tools.upstreams.egress import Egress, read_bounded
from watchkeeper.tools.upstreams.model import Sending

Protocol = Literal["http/protobuf", "grpc"]
ANSWER_SECONDS = 10.0
_LARGEST_ANSWER = 64 * 1024
_PATH = "/v1/traces"
_METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_NEVER = frozenset({400, 405, 413, 414, 415, 422})
_NEVER_GRPC = frozenset({"INVALID_ARGUMENT"})
"""With these a batch is never taken: others may be mended on the other side."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where spans go; `headers` refers to a secret, as `NAME=VALUE,…`."""

    url: str
    headers: str = ""
    allow_private: bool = False
    protocol: Protocol = "http/protobuf"

    @property
    def address(self) -> str:
        """Where traces are sent to."""
        base = self.url.rstrip("/")
        if self.protocol == "grpc" or base.endswith(_PATH):
            return base
        return base + _PATH


class Answer(NamedTuple):
    """What a receiver said to a batch."""

    taken: bool
    never: bool
    """Whether it would never take it."""
    status: str
    body: bytes = b""
    after: str | None = None
    """When it is to be asked again, as HTTP says that."""


async def carry(
    egress: Egress, target: Target, request: bytes, headers: Mapping[str, str]
) -> Answer:
    """Send a request; raise `UpstreamFailure` or `TimeoutError` where there is no answer."""
    if target.protocol == "grpc":
        return await _by_grpc(egress, target, request, headers)
    packed = await asyncio.to_thread(gzip.compress, request, 5)
    said = {
        **headers,
        "content-type": "application/x-protobuf",
        "content-encoding": "gzip",
        "user-agent": "watchkeeper",
    }
    async with (
        asyncio.timeout(ANSWER_SECONDS),
        egress.post(
            target.address, packed, said, Sending(), allow_private=target.allow_private
        ) as response,
    ):
        status, after = response.status, response.headers.get("retry-after")
        answer = await read_bounded(response, _LARGEST_ANSWER)
    return Answer(200 <= status < 300, status in _NEVER, f"HTTP {status}", answer, after)


async def _by_grpc(
    egress: Egress, target: Target, request: bytes, headers: Mapping[str, str]
) -> Answer:
    answered = await egress.call(
        target.address,
        _METHOD,
        request,
        headers,
        allow_private=target.allow_private,
        largest=_LARGEST_ANSWER,
        seconds=ANSWER_SECONDS,
    )
    status = f"gRPC {answered.status} {answered.words}".strip()
    never = answered.status in _NEVER_GRPC
    return Answer(answered.status == "OK", never, status, answered.body)
