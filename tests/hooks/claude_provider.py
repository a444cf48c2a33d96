"""Anthropic's model as Claude Code calls it, played by a script: it wishes for tools, then ends."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.rig.provider_functions import anthropic_refusal

Wish = tuple[str, str, dict[str, Any]]
"""A tool call: its id, the tool's name, its input."""


class Provider:
    """A provider on 127.0.0.1 that asks once for every call of `wishes`, all in one answer."""

    def __init__(self, wishes: Sequence[Wish], server: ThreadingHTTPServer) -> None:
        self.wishes = wishes
        self.url = f"http://127.0.0.1:{server.server_port}"
        self.results: list[dict[str, Any]] = []
        """The tool results that it was sent, each once."""

    def answer(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the content blocks that follow a conversation."""
        done = [block for block in _blocks(messages) if block.get("type") == "tool_result"]
        known = [one["tool_use_id"] for one in self.results]
        self.results += [block for block in done if block["tool_use_id"] not in known]
        if not self.wishes or done:
            return [{"type": "text", "text": "That is all."}]
        return [
            {"type": "tool_use", "id": identity, "name": name, "input": given}
            for identity, name, given in self.wishes
        ]


def _blocks(messages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for message in messages:
        if isinstance(message["content"], list):
            yield from message["content"]


@contextmanager
def provider(*wishes: Wish) -> Iterator[Provider]:
    """Serve a provider until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def do_HEAD(self) -> None:
            self._send(b"", "text/plain")

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if "count_tokens" in self.path:
                self._send(b'{"input_tokens": 10}', "application/json")
                return
            if refusal := anthropic_refusal(body):
                self._send(json.dumps(refusal).encode(), "application/json", 400)
                return
            blocks = known.answer(body["messages"]) if body.get("tools") else [_TITLE]
            if body.get("stream"):
                self._send("".join(_events(blocks)).encode(), "text/event-stream")
            else:
                whole = {**_head(), "content": blocks, "stop_reason": _reason(blocks)}
                self._send(json.dumps(whole).encode(), "application/json")

        def _send(self, body: bytes, kind: str, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    known = Provider(wishes, server)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield known
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


_TITLE = {"type": "text", "text": "A task"}


def _reason(blocks: list[dict[str, Any]]) -> str:
    return "tool_use" if any(block["type"] == "tool_use" for block in blocks) else "end_turn"


def _head() -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 1},
    }


def _events(blocks: list[dict[str, Any]]) -> Iterator[str]:
    yield _event("message_start", message=_head())
    for index, block in enumerate(blocks):
        if block["type"] == "text":
            opened: dict[str, Any] = {"type": "text", "text": ""}
            delta = {"type": "text_delta", "text": block["text"]}
        else:
            opened = {**block, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        yield _event("content_block_start", index=index, content_block=opened)
        yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    yield _event(
        "message_delta",
        delta={"stop_reason": _reason(blocks), "stop_sequence": None},
        usage={"output_tokens": 5},
    )
    yield _event("message_stop")


def _event(kind: str, **more: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n"
