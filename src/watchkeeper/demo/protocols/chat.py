"""OpenAI's chat completions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from watchkeeper.demo.protocols.asked import Asked, Said, cut, event


def message_of(said: Said) -> dict[str, Any]:
    """Return the answer as a message of a chat."""
    message: dict[str, Any] = {"role": "assistant", "content": said.step.says}
    if said.step.tool:
        function = {"name": said.function, "arguments": said.arguments}
        message["tool_calls"] = [{"id": said.call_id, "type": "function", "function": function}]
    return message


class ChatCompletions:
    """`POST /v1/chat/completions`."""

    def read(self, body: Mapping[str, Any]) -> Asked:
        """Return what is asked."""
        return Asked(
            body["model"],
            body["messages"],
            body.get("tools") or (),
            body.get("max_completion_tokens") or body.get("max_tokens"),
            bool(body.get("stream")),
            bool((body.get("stream_options") or {}).get("include_usage")),
        )

    def whole(self, said: Said) -> dict[str, Any]:
        """Return an answer in one piece."""
        choice = {"index": 0, "message": message_of(said), "finish_reason": _reason(said)}
        return {**_head(said, ""), "choices": [choice], "usage": _usage(said)}

    def pieces(self, said: Said, asked: Asked) -> Iterator[bytes]:
        """Yield an answer as the events of a stream."""
        head = _head(said, ".chunk")
        for delta in self._deltas(message_of(said)):
            choice = {"index": 0, "delta": delta, "finish_reason": None}
            yield event({**head, "choices": [choice]})
        last = {"index": 0, "delta": {}, "finish_reason": _reason(said)}
        yield event({**head, "choices": [last]})
        if asked.with_usage:
            yield event({**head, "choices": [], "usage": _usage(said)})
        yield b"data: [DONE]\n\n"

    def _deltas(self, message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        yield {"role": "assistant", "content": ""}
        yield from ({"content": piece} for piece in cut(str(message["content"] or "")))
        for index, asked in enumerate(message.get("tool_calls", ())):
            arguments = asked["function"]["arguments"]
            first = {"name": asked["function"]["name"], "arguments": ""}
            yield {"tool_calls": [{"index": index, **asked, "function": first}]}
            for piece in cut(arguments, 64):
                yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _head(said: Said, suffix: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{said.id}",
        "object": f"chat.completion{suffix}",
        "created": said.created,
        "model": said.model,
    }


def _reason(said: Said) -> str:
    return "tool_calls" if said.step.tool else "stop"


def _usage(said: Said) -> dict[str, int]:
    return {
        "prompt_tokens": said.tokens_in,
        "completion_tokens": said.tokens_out,
        "total_tokens": said.tokens_in + said.tokens_out,
    }
