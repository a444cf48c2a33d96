"""OpenAI's responses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from watchkeeper.demo.protocols.asked import Asked, Said, cut, event


class Responses:
    """`POST /v1/responses`, with the whole conversation as its input."""

    def read(self, body: Mapping[str, Any]) -> Asked:
        """Return what is asked."""
        messages: list[dict[str, Any]] = []
        if instructions := body.get("instructions"):
            messages.append({"role": "system", "content": instructions})
        given = body["input"]
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        for item in items:
            messages.append(_message(item))
        return Asked(
            body["model"],
            messages,
            body.get("tools") or (),
            body.get("max_output_tokens"),
            bool(body.get("stream")),
        )

    def whole(self, said: Said) -> dict[str, Any]:
        """Return an answer in one piece."""
        return _response(said, "completed", _output(said))

    def pieces(self, said: Said, asked: Asked) -> Iterator[bytes]:
        """Yield an answer as the events of a stream."""
        for number, body in enumerate(self._events(said)):
            yield event({**body, "sequence_number": number}, body["type"])

    def _events(self, said: Said) -> Iterator[dict[str, Any]]:
        begun = _response(said, "in_progress", [])
        yield {"type": "response.created", "response": begun}
        yield {"type": "response.in_progress", "response": begun}
        for index, item in enumerate(_output(said)):
            at = {"output_index": index, "item_id": item["id"]}
            if item["type"] == "message":
                empty = {**item, "status": "in_progress", "content": []}
                yield {"type": "response.output_item.added", "output_index": index, "item": empty}
                part = item["content"][0]
                inside = {**at, "content_index": 0}
                blank = {**part, "text": ""}
                yield {"type": "response.content_part.added", **inside, "part": blank}
                for piece in cut(part["text"]):
                    delta = {**inside, "delta": piece, "logprobs": []}
                    yield {"type": "response.output_text.delta", **delta}
                done = {**inside, "text": part["text"], "logprobs": []}
                yield {"type": "response.output_text.done", **done}
                yield {"type": "response.content_part.done", **inside, "part": part}
            else:
                empty = {**item, "status": "in_progress", "arguments": ""}
                yield {"type": "response.output_item.added", "output_index": index, "item": empty}
                for piece in cut(item["arguments"], 64):
                    yield {"type": "response.function_call_arguments.delta", **at, "delta": piece}
                done = {**at, "name": item["name"], "arguments": item["arguments"]}
                yield {"type": "response.function_call_arguments.done", **done}
            yield {"type": "response.output_item.done", "output_index": index, "item": item}
        yield {"type": "response.completed", "response": self.whole(said)}


def _message(item: Mapping[str, Any]) -> dict[str, Any]:
    kind = item.get("type", "message")
    if kind == "function_call":
        function = {"name": item["name"], "arguments": item["arguments"]}
        call = {"id": item["call_id"], "type": "function", "function": function}
        return {"role": "assistant", "content": "", "tool_calls": [call]}
    if kind == "function_call_output":
        return {"role": "tool", "tool_call_id": item["call_id"], "content": item["output"]}
    content = item["content"]
    if not isinstance(content, str):
        content = "".join(str(part.get("text") or "") for part in content)
    role = "system" if item["role"] == "developer" else item["role"]
    return {"role": role, "content": content}


def _output(said: Said) -> list[dict[str, Any]]:
    text = {"type": "output_text", "text": said.step.says, "annotations": [], "logprobs": []}
    items: list[dict[str, Any]] = [
        {
            "type": "message",
            "id": f"msg_{said.id}",
            "role": "assistant",
            "status": "completed",
            "content": [text],
        }
    ]
    if said.step.tool:
        items.append(
            {
                "type": "function_call",
                "id": f"fc_{said.id}",
                "call_id": said.call_id,
                "name": said.function,
                "arguments": said.arguments,
                "status": "completed",
            }
        )
    return items


def _response(said: Said, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    usage = {
        "input_tokens": said.tokens_in,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": said.tokens_out,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": said.tokens_in + said.tokens_out,
    }
    return {
        "id": f"resp_{said.id}",
        "object": "response",
        "created_at": said.created,
        "status": status,
        "model": said.model,
        "output": output,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage if status == "completed" else None,
    }
