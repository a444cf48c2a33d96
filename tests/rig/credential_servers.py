"""Servers around credentials, for tests: a vault, an issuer of tokens, an upstream that leaks.

Each is a real HTTP server on a thread of its own, so that tests with and without an event loop
use the same.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote_plus

MODERN = "2026-07-28"
Answer = tuple[int, Any]


class HttpServer:
    """Serves `answer` on 127.0.0.1 between `with` and its end."""

    def __init__(self) -> None:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.do_POST()

            def do_PATCH(self) -> None:
                self.do_POST()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                with server.lock:
                    status, value = server.answer(self.command, self.path, headers, body)
                if status == 0:
                    self.close_connection = True
                    return
                data = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                kind = "text/event-stream" if data.startswith(b"data:") else "application/json"
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                return

        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """Return status and body; status 0 hangs up."""
        raise AssertionError("a server says what it answers")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@dataclass
class _Written:
    fields: dict[str, Any]
    version: int = 1


class VaultServer(HttpServer):
    """A key-value store of version 2 as Vault serves it, with one token and one namespace."""

    def __init__(self, token: str, namespace: str | None = None) -> None:
        super().__init__()
        self.token = token
        self.namespace = namespace
        self.sealed = False
        self.lease = 0
        self.reads: list[str] = []
        self._written: dict[str, _Written] = {}

    def write(self, path: str, **fields: Any) -> None:
        """Put a new version at `mount/path`."""
        mount, _, rest = path.partition("/")
        key = f"/v1/{mount}/data/{rest}"
        before = self._written.get(key)
        self._written[key] = _Written(fields, before.version + 1 if before else 1)

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        self.reads.append(path)
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if headers.get("x-vault-token") != self.token:
            return 403, {"errors": ["permission denied", f"token {headers.get('x-vault-token')}"]}
        if headers.get("x-vault-namespace") != self.namespace:
            return 404, {"errors": []}
        found = self._written.get(path)
        if method != "GET" or found is None:
            return 404, {"errors": []}
        data = {"data": found.fields, "metadata": {"version": found.version, "destroyed": False}}
        return 200, {"request_id": "r", "lease_duration": self.lease, "data": data}


class TokenServer(HttpServer):
    """An authorization server's token endpoint for one client, `client_secret_basic` only."""

    def __init__(self, client: str, secret: str) -> None:
        super().__init__()
        self.client = client
        self.secret = secret
        self.expires_in: int | None = 3600
        self.failing: Answer | None = None
        self.asked: list[dict[str, str]] = []
        self.issued: list[str] = []
        self.revoked: set[str] = set()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        self.asked.append(form)
        if self.failing is not None:
            return self.failing
        kind, _, basic = headers.get("authorization", "").partition(" ")
        name, _, secret = base64.b64decode(basic).decode().partition(":")
        given = (kind, unquote_plus(name), unquote_plus(secret))
        if given != ("Basic", self.client, self.secret):
            return 401, {"error": "invalid_client", "error_description": f"not {basic}"}
        if form.get("grant_type") != "client_credentials":
            return 400, {"error": "unsupported_grant_type"}
        token = f"issued-token-canary-{len(self.issued) + 1:04}"
        self.issued.append(token)
        answer: dict[str, Any] = {"access_token": token, "token_type": "Bearer"}
        if self.expires_in is not None:
            answer["expires_in"] = self.expires_in
        return 200, answer

    def takes(self, authorization: str) -> bool:
        """Tell whether a resource would accept this header."""
        token = authorization.removeprefix("Bearer ")
        return token in self.issued and token not in self.revoked


@dataclass
class Leaks:
    """What an upstream that leaks was sent and did."""

    credentials: list[str] = field(default_factory=list)
    executions: list[str] = field(default_factory=list)


class LeakyUpstream(HttpServer):
    """An MCP server that repeats the credential it was given wherever it can.

    The tool `echo` does so in the way that its argument `text` names.
    """

    def __init__(self, accepts: Callable[[str], bool] = lambda header: True) -> None:
        super().__init__()
        self.accepts = accepts
        self.seen = Leaks()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        given = headers.get("authorization") or headers.get("x-api-key", "")
        self.seen.credentials.append(given)
        if not self.accepts(given):
            return 401, {"error": f"not accepted: {given}"}
        if path.endswith("/chat/completions"):
            return self._complete(body, given)
        message = json.loads(body or b"{}")
        asked = message.get("method")
        if "id" not in message:
            return 202, b""
        if asked == "server/discover":
            return self._result(message, {"supportedVersions": [MODERN]})
        if asked == "tools/list":
            described = {"name": "echo", "description": f"Repeats {given}.", "inputSchema": {
                "type": "object", "properties": {
                    "text": {"type": "string", "description": f"sent with {given}"}}}}  # fmt: skip
            return self._result(message, {"tools": [described]})
        return self._call(message, given)

    def _call(self, message: dict[str, Any], given: str) -> Answer:
        how = str(message["params"]["arguments"].get("text", ""))
        self.seen.executions.append(how)
        bare = given.removeprefix("Bearer ").encode()
        text = f"you sent {given}; in base64 {base64.b64encode(bare).decode()}"
        if how == "error":
            error = {"code": -32000, "message": text}
            return 200, {"jsonrpc": "2.0", "id": message["id"], "error": error}
        if how == "http-500":
            return 500, {"error": text}
        if how == "stream":
            note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {
                "progressToken": message["params"].get("_meta", {}).get("progressToken", 0),
                "progress": 1, "message": text}}  # fmt: skip
            content = {"content": [{"type": "text", "text": text}]}
            answer = {"jsonrpc": "2.0", "id": message["id"], "result": content}
            return 200, _events(note, answer)
        if how == "hang-up":
            return 0, b""
        return self._result(
            message,
            {
                "content": [{"type": "text", "text": text}],
                "structuredContent": {"sent": given, given: "as a key"},
                "isError": how == "tool-error",
            },
        )

    def _complete(self, body: bytes, given: str) -> Answer:
        if b"http-500" in body:
            return 500, {"error": {"message": f"bad key {given}"}}
        if b"http-400" in body:
            return 400, {"error": {"message": f"bad key {given}", "type": "invalid_request_error"}}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        if b'"stream":true' in body.replace(b" ", b""):
            chunk = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m"}
            delta = {"index": 0, "delta": {"content": f"your key is {given}"}}
            end = {"index": 0, "delta": {}, "finish_reason": "stop"}
            return 200, _events(
                {**chunk, "choices": [delta]}, {**chunk, "choices": [end]},
                {**chunk, "choices": [], "usage": usage},
            ) + b"data: [DONE]\n\n"  # fmt: skip
        choice = {"index": 0, "finish_reason": "stop",
                  "message": {"role": "assistant", "content": f"your key is {given}"}}  # fmt: skip
        return 200, {"id": "c", "object": "chat.completion", "created": 0, "model": "m",
                     "choices": [choice], "usage": usage}  # fmt: skip

    def _result(self, message: dict[str, Any], result: dict[str, Any]) -> Answer:
        return 200, {"jsonrpc": "2.0", "id": message["id"], "result": result}


def _events(*values: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values)
