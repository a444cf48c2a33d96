"""A real receiver of callbacks: keeps each request as it came, and answers as the test says."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


@dataclass(frozen=True)
class Say:
    """An answer: a status, with headers."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Receiver:
    """Listens on 127.0.0.1 until closed. What is in `answers` is said first, then 200.

    While `held` is set (`hold`), a request is kept and not answered.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: list[Say] = []
        self.usual = Say()
        self._go = threading.Event()
        self._go.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.received.append(Received(self.path, headers, body))
                receiver._go.wait(60)
                say = receiver.answers.pop(0) if receiver.answers else receiver.usual
                try:
                    self.send_response(say.status)
                    for name, value in say.headers.items():
                        self.send_header(name, value)
                    self.send_header("content-length", str(len(say.body)))
                    self.end_headers()
                    self.wfile.write(say.body)
                except OSError:
                    self.close_connection = True

            do_GET = do_POST

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._go.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}/callback"

    def hold(self) -> None:
        """Answer nothing from now on."""
        self._go.clear()

    def release(self) -> None:
        """Answer whatever waits."""
        self._go.set()
