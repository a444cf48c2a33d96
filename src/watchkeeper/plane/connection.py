"""One connection to the plane: who is at the other end, and how much it may send."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from watchkeeper.api.callers import PEER
from watchkeeper.plane.together import Together

MOST_HEADERS = 100
MOST_HEAD_BYTES = 32 * 1024
LONGEST_TARGET = 8 * 1024
MOST_REFUSALS = 256
"""Connections beyond the limit that are told so at once; those beyond are dropped unheard, so
that file descriptors are left for the owner's socket."""
PARTIAL_SECONDS = 15.0
"""How long a request may stay half sent before the connection is closed."""

_SOL_LOCAL = 0
_LOCAL_PEERCRED = 1


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end of a Unix socket, as the kernel vouches for it."""

    uid: int
    pid: int | None


def read_peer(connection: socket.socket) -> Peer | None:
    """Return the credentials of a Unix socket's peer, or None if the kernel gives none."""
    try:
        if hasattr(socket, "SO_PEERCRED"):
            raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            pid, uid, _ = struct.unpack("iII", raw)
            return Peer(uid, pid)
        if sys.platform == "darwin":
            raw = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, 76)
            _, uid = struct.unpack_from("II", raw)
            return Peer(uid, None)
    except OSError:
        return None
    return None


class Connection(HttpToolsProtocol):
    """HTTP/1.1 with peer credentials in the scope, bounded heads and no half-sent requests."""

    _peer: Peer | None = None
    _unix = False
    _head_bytes = 0
    _partial: asyncio.TimerHandle | None = None
    _complete = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Learn who connected."""
        super().connection_made(Together(transport, self.loop))
        carrier = transport.get_extra_info("socket")
        if carrier is not None and carrier.family == socket.AF_UNIX:
            self._unix = True
            self._peer = read_peer(carrier)
            # however many agents hold connections open, the owner reaches the kill switch
            self.limit_concurrency = None
        elif self._is_crowded():
            transport.abort()
            return
        self._await_rest()

    def _is_crowded(self) -> bool:
        limit = self.limit_concurrency
        return limit is not None and len(self.connections) > limit + MOST_REFUSALS

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer with the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; a request that is still incomplete has a deadline."""
        super().data_received(data)
        if self._complete:
            self._stop_waiting()
        elif self._partial is None and not self.transport.is_closing():
            self._await_rest()

    def on_message_begin(self) -> None:
        """Start the scope of a request."""
        super().on_message_begin()
        self._complete = False
        self._head_bytes = 0
        if self._unix:
            scope: dict[str, Any] = self.scope  # type: ignore[assignment]
            scope[PEER] = self._peer

    def on_url(self, url: bytes) -> None:
        """Collect the request target, up to its limit."""
        super().on_url(url)
        if len(self.url) > LONGEST_TARGET:
            self._refuse(414, "target_too_long", "the request target is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header, up to the limits."""
        super().on_header(name, value)
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MOST_HEAD_BYTES or len(self.headers) > MOST_HEADERS:
            self._refuse(431, "headers_too_large", "the request has too many or too long headers")

    def on_message_complete(self) -> None:
        """Note that the request is whole."""
        self._complete = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP with a problem, unless a refusal is already on its way."""
        if not self.transport.is_closing():
            self._write_problem(400, "not_http", "this is not a valid HTTP/1.1 request")

    def _refuse(self, status: int, code: str, message: str) -> None:
        if not self.transport.is_closing():
            self._write_problem(status, code, message)
        raise ValueError(code)

    def _write_problem(self, status: int, code: str, message: str) -> None:
        body = json.dumps({"code": code, "message": message, "status": status}).encode()
        head = (
            f"HTTP/1.1 {status} Refused\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _await_rest(self) -> None:
        self._partial = self.loop.call_later(PARTIAL_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._partial is not None:
            self._partial.cancel()
            self._partial = None

    def _give_up(self) -> None:
        self._partial = None
        if self.transport.is_closing():
            return
        cycle: Any = self.cycle
        answered = cycle is not None and (cycle.response_started and not cycle.response_complete)
        if answered:
            self.transport.close()
        else:
            self._write_problem(408, "too_slow", "the request did not arrive in time")
