"""Where notices arrive in tests: a web server and a mail server that keep what they are sent."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class WebSink:
    """Takes any POST; `status` is what it answers with, `before` runs before it answers."""

    port: int = 0
    status: int = 200
    location: str | None = None
    longest: int = 0
    """How many bytes it answers with; whoever asked may hang up before."""
    answered: int = 0
    before: Callable[[], None] = lambda: None
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def url(self, path: str = "hook", scheme: str = "json") -> str:
        """The channel URL that leads here."""
        return f"{scheme}://127.0.0.1:{self.port}/{path}"


@contextmanager
def web_sink() -> Iterator[WebSink]:
    """Serve a sink on a free port of this machine."""
    sink = WebSink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(length)
            sink.paths.append(self.path)
            sink.bodies.append(json.loads(body) if body[:1] == b"{" else {"raw": body.decode()})
            sink.before()
            self.send_response(sink.status)
            if sink.location:
                self.send_header("location", sink.location)
            self.send_header("content-length", str(sink.longest))
            self.end_headers()
            with suppress(OSError):
                while sink.answered < sink.longest:
                    sink.answered += self.wfile.write(b" " * 65_536)

        do_GET = do_POST

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        sink.port = server.server_port
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield sink
        finally:
            server.shutdown()


@dataclass
class MailSink:
    """Takes any mail (RFC 5321, the few commands that a sender needs)."""

    port: int = 0
    mails: list[str] = field(default_factory=list)


@contextmanager
def mail_sink() -> Iterator[MailSink]:
    """Serve a mail server on a free port of this machine."""
    sink = MailSink()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 sink")
            for raw in self.rfile:
                word = raw.split()[0].upper() if raw.split() else b""
                if word == b"DATA":
                    self.say("354 go on")
                    lines = iter(self.rfile.readline, b".\r\n")
                    sink.mails.append(b"".join(lines).decode())
                self.say({b"QUIT": "221 bye", b"EHLO": "250 sink"}.get(word, "250 ok"))
                if word == b"QUIT":
                    return

        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        sink.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield sink
        finally:
            server.shutdown()
