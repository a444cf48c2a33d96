"""Anthropic's messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from watchkeeper.core.digest import canonical
from watchkeeper.demo.protocols.asked import Asked, Said, cut, event


class Messages:
    """`POST /v1/messages`."""

    def read(self, body: Mapping[str, Any]) -> Asked:
        """Return what is asked."""
        messages: list[dict[str, Any]] = []
        if system := body.get("system"):
            messages.append({"role": "system", "content": _text(system)})
        for message in body["messages"]:
            messages += _read(message["role"], message["content"])
        return Asked(
            body["model"],
            messages,
            body.get("tools") or (),
            body.get("max_tokens"),
            bool(body.get("stream")),
        )

    def whole(self, said: Said) -> dict[str, Any]:
        """Return an answer in one piece."""
        return {
            **_head(said),
            "content": _blocks(said),
            "stop_reason": _reason(said),
            "usage": _usage(said, said.tokens_out),
        }

    def pieces(self, said: Said, asked: Asked) -> Iterator[bytes]:
        """Yield an answer as the events of a stream."""
        for body in self._events(said):
            yield event(body, body["type"])

    def _events(self, said: Said) -> Iterator[dict[str, Any]]:
        head = {**_head(said), "content": [], "stop_reason": None, "usage": _usage(said, 1)}
        yield {"type": "message_start", "message": head}
        for index, block in enumerate(_blocks(said)):
            at = {"index": index}
            if block["type"] == "text":
                begun, kind, member = {**block, "text": ""}, "text_delta", "text"
                pieces = cut(block["text"])
            else:
                begun, kind, member = {**block, "input": {}}, "input_json_delta", "partial_json"
                pieces = cut(said.arguments, 64)
            yield {"type": "content_block_start", **at, "content_block": begun}
            for piece in pieces:
                delta = {"type": kind, member: piece}
                yield {"type": "content_block_delta", **at, "delta": delta}
            yield {"type": "content_block_stop", **at}
        ended = {"stop_reason": _reason(said), "stop_sequence": None}
        usage = {"output_tokens": said.tokens_out}
        yield {"type": "message_delta", "delta": ended, "usage": usage}
        yield {"type": "message_stop"}


def _read(role: str, content: Any) -> Iterator[dict[str, Any]]:
    if isinstance(content, str):
        yield {"role": role, "content": content}
        return
    text = _text([block for block in content if block["type"] == "text"])
    calls = [
        {
            "id": block["id"],
            "type": "function",
            "function": {"name": block["name"], "arguments": canonical(block["input"]).decode()},
        }
        for block in content
        if block["type"] == "tool_use"
    ]
    for block in content:
        if block["type"] == "tool_result":
            yield {
                "role": "tool",
                "tool_call_id": block["tool_use_id"],
                "content": _text(block.get("content") or ""),
            }
    if text or calls:
        yield {"role": role, "content": text, **({"tool_calls": calls} if calls else {})}


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(str(block.get("text") or "") for block in content)


def _head(said: Said) -> dict[str, Any]:
    return {
        "id": f"msg_{said.id}",
        "type": "message",
        "role": "assistant",
        "model": said.model,
        "stop_sequence": None,
    }


def _blocks(said: Said) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = [{"type": "text", "text": said.step.says}]
    if said.step.tool:
        asked = dict(said.step.arguments or {})
        blocks.append(
            {"type": "tool_use", "id": said.call_id, "name": said.function, "input": asked}
        )
    return blocks


def _reason(said: Said) -> str:
    return "tool_use" if said.step.tool else "end_turn"


def _usage(said: Said, out: int) -> dict[str, int]:
    return {
        "input_tokens": said.tokens_in,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": out,
    }
