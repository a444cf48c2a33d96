"""The protocols that an agent may ask models in; a conversation itself is always a chat's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from watchkeeper.core.digest import canonical, parse

Message = dict[str, Any]
Asked = tuple[str, Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]], int]
"""The model, the messages, the tools, and how many tokens the answer may have."""


class Listener(Protocol):
    """Puts a streamed answer together."""

    ended: bool

    def take(self, chunk: Mapping[str, Any]) -> None:
        """Take in one event."""
        ...

    def as_message(self) -> Message:
        """Return the answer as a message of a chat."""
        ...


class Voice(Protocol):
    """One protocol, as an agent speaks it."""

    house: str
    """Under which part of the plane's address it is spoken."""
    path: str

    def body(self, asked: Asked, *, stream: bool) -> dict[str, Any]:
        """Return what is sent."""
        ...

    def whole(self, answer: Mapping[str, Any]) -> Message:
        """Read an answer in one piece."""
        ...

    def listen(self) -> Listener:
        """Begin to read a streamed answer."""
        ...


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class Heard:
    """An answer as far as it has come."""

    content: str = ""
    calls: dict[int, _Call] = field(default_factory=dict)
    ended: bool = False

    def as_message(self) -> Message:
        """Return it as a message of a chat."""
        message: Message = {"role": "assistant", "content": self.content}
        if self.calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for _, call in sorted(self.calls.items())
            ]
        return message


class ChatVoice:
    """OpenAI's chat completions."""

    house, path = "openai", "/chat/completions"

    def body(self, asked: Asked, *, stream: bool) -> dict[str, Any]:
        """Return what is sent."""
        model, messages, tools, most = asked
        body = {
            "model": model,
            "messages": list(messages),
            "tools": list(tools),
            "max_tokens": most,
        }
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body

    def whole(self, answer: Mapping[str, Any]) -> Message:
        """Read an answer in one piece."""
        message: Message = answer["choices"][0]["message"]
        return message

    def listen(self) -> Listener:
        """Begin to read a streamed answer."""
        return _ChatHeard()


@dataclass(slots=True)
class _ChatHeard(Heard):
    def take(self, chunk: Mapping[str, Any]) -> None:
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            self.content += delta.get("content") or ""
            for piece in delta.get("tool_calls") or ():
                call = self.calls.setdefault(int(piece.get("index", 0)), _Call())
                function = piece.get("function") or {}
                call.id = piece.get("id") or call.id
                call.name = function.get("name") or call.name
                call.arguments += function.get("arguments") or ""
            self.ended = self.ended or bool(choice.get("finish_reason"))


class ResponsesVoice:
    """OpenAI's responses."""

    house, path = "openai", "/responses"

    def body(self, asked: Asked, *, stream: bool) -> dict[str, Any]:
        """Return what is sent: the whole conversation, which nobody keeps for the agent."""
        model, messages, tools, most = asked
        items = [item for message in messages for item in _items(message)]
        return {
            "model": model,
            "input": items,
            "tools": [{"type": "function", **tool["function"]} for tool in tools],
            "max_output_tokens": most,
            "store": False,
            **({"stream": True} if stream else {}),
        }

    def whole(self, answer: Mapping[str, Any]) -> Message:
        """Read an answer in one piece."""
        heard = _ResponseHeard()
        heard.read(answer)
        return heard.as_message()

    def listen(self) -> Listener:
        """Begin to read a streamed answer."""
        return _ResponseHeard()


@dataclass(slots=True)
class _ResponseHeard(Heard):
    def take(self, chunk: Mapping[str, Any]) -> None:
        # the last event holds the answer as a whole
        if chunk.get("type") in ("response.completed", "response.incomplete"):
            self.read(chunk["response"])
            self.ended = True

    def read(self, response: Mapping[str, Any]) -> None:
        for index, item in enumerate(response["output"]):
            if item["type"] == "message":
                self.content += "".join(part.get("text") or "" for part in item["content"])
            elif item["type"] == "function_call":
                self.calls[index] = _Call(item["call_id"], item["name"], item["arguments"])


def _items(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if message["role"] == "tool":
        yield {
            "type": "function_call_output",
            "call_id": message["tool_call_id"],
            "output": message["content"],
        }
        return
    if message.get("content"):
        yield {"role": message["role"], "content": message["content"]}
    for call in message.get("tool_calls") or ():
        yield {"type": "function_call", "call_id": call["id"], **call["function"]}


class MessagesVoice:
    """Anthropic's messages."""

    house, path = "anthropic", "/messages"

    def body(self, asked: Asked, *, stream: bool) -> dict[str, Any]:
        """Return what is sent."""
        model, messages, tools, most = asked
        said = [
            {"role": "user" if one["role"] == "tool" else one["role"], "content": _blocks(one)}
            for one in messages
            if one["role"] != "system"
        ]
        return {
            "model": model,
            "system": "\n".join(m["content"] for m in messages if m["role"] == "system"),
            "messages": said,
            "tools": [
                {
                    "name": tool["function"]["name"],
                    "description": tool["function"]["description"],
                    "input_schema": tool["function"]["parameters"],
                }
                for tool in tools
            ],
            "max_tokens": most,
            **({"stream": True} if stream else {}),
        }

    def whole(self, answer: Mapping[str, Any]) -> Message:
        """Read an answer in one piece."""
        heard = _MessageHeard()
        for index, block in enumerate(answer["content"]):
            heard.begin(index, block)
            if block["type"] == "tool_use":
                heard.calls[index].arguments = canonical(block["input"]).decode()
        return heard.as_message()

    def listen(self) -> Listener:
        """Begin to read a streamed answer."""
        return _MessageHeard()


@dataclass(slots=True)
class _MessageHeard(Heard):
    def take(self, chunk: Mapping[str, Any]) -> None:
        kind = chunk.get("type")
        if kind == "content_block_start":
            self.begin(chunk["index"], chunk["content_block"])
        elif kind == "content_block_delta":
            delta = chunk["delta"]
            self.content += delta.get("text") or ""
            if "partial_json" in delta:
                self.calls[chunk["index"]].arguments += delta["partial_json"]
        elif kind == "message_stop":
            self.ended = True

    def begin(self, index: int, block: Mapping[str, Any]) -> None:
        if block["type"] == "text":
            self.content += block["text"]
        elif block["type"] == "tool_use":
            self.calls[index] = _Call(block["id"], block["name"])


def _blocks(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    if message["role"] == "tool":
        return [
            {
                "type": "tool_result",
                "tool_use_id": message["tool_call_id"],
                "content": message["content"],
            }
        ]
    blocks: list[dict[str, Any]] = []
    if message.get("content"):
        blocks.append({"type": "text", "text": message["content"]})
    for call in message.get("tool_calls") or ():
        function = call["function"]
        blocks.append(
            {
                "type": "tool_use",
                "id": call["id"],
                "name": function["name"],
                "input": parse(function["arguments"] or "{}"),
            }
        )
    return blocks


VOICES: dict[str, Voice] = {
    "chat": ChatVoice(),
    "responses": ResponsesVoice(),
    "messages": MessagesVoice(),
}
