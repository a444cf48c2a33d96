"""What a recorded model call says of tools, and what its answer says, by protocol.

Recorded bodies came from agents and providers: whatever is not as its protocol has it is passed
over, never trusted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watchkeeper.core.digest import canonical, parse
from watchkeeper.core.errors import Invalid
from watchkeeper.wire.models import Endpoint
from watchkeeper.wire.replays import Said

ENDPOINTS: frozenset[Endpoint] = frozenset({"chat_completions", "responses", "messages"})
"""Those in which a model is told what tools answered."""
_ITEM_CALL, _ITEM_RESULT = "function_call", "function_call_output"


@dataclass(slots=True)
class ToolResult:
    """What a model is told that a tool answered, in the body that tells it."""

    holder: dict[str, Any]
    """The object that has it, as `member`."""
    member: str
    name: str | None
    """What the model called; None where its call is not in the body."""
    arguments: Any

    @property
    def text(self) -> str:
        """Its words."""
        return text_in(self.holder.get(self.member))

    def replace(self, text: str) -> None:
        """Put other words in its place; a failure is one no more."""
        self.holder[self.member] = text
        self.holder.pop("is_error", None)


def results_in(body: Mapping[str, Any]) -> list[ToolResult]:
    """Return what a call tells its model that tools answered, in order."""
    calls: dict[str, tuple[str | None, Any]] = {}
    found: list[ToolResult] = []
    for holder, member, call in _parts(body):
        if call is not None:
            said = calls.get(call, (None, None))
            found.append(ToolResult(holder, member, *said))
        else:
            name, arguments = holder.get("name"), _read(holder.get(member))
            known = holder.get("call_id") or holder.get("id")
            if isinstance(known, str) and isinstance(name, str):
                calls[known] = (name, arguments)
    return found


def text_in(content: object) -> str:
    """Return the words of a content: a text, or parts that hold some."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(one["text"] for one in _objects(parts) if isinstance(one.get("text"), str))


def without_stream(body: dict[str, Any]) -> dict[str, Any]:
    """Return a call that wants its answer whole."""
    return {name: said for name, said in body.items() if name not in ("stream", "stream_options")}


def said_in(endpoint: Endpoint, answer: object) -> Said | None:
    """Return what an answer says, a body or a stream's events; None where it can't be told."""
    if isinstance(answer, list):
        return _streamed(endpoint, list(_objects(answer)))
    if not isinstance(answer, dict):
        return None
    if endpoint == "chat_completions":
        messages = [one.get("message") for one in _objects(answer.get("choices"))]
        return _chat(list(_objects(messages)))
    if endpoint == "responses":
        return _items(list(_objects(answer.get("output"))))
    return _blocks(list(_objects(answer.get("content"))))


def _parts(body: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str, str | None]]:
    """Yield calls (with None) and results of tools (with the id of their call), in order."""
    for item in _objects(body.get("input")):
        if item.get("type") == _ITEM_CALL:
            yield item, "arguments", None
        elif item.get("type") == _ITEM_RESULT:
            yield item, "output", str(item.get("call_id"))
    for message in _objects(body.get("messages")):
        for call in _objects(message.get("tool_calls")):
            function = call.get("function")
            if isinstance(function, dict):
                yield {**function, "id": call.get("id")}, "arguments", None
        if message.get("role") == "tool":
            yield message, "content", str(message.get("tool_call_id"))
        for block in _objects(message.get("content")):
            if block.get("type") == "tool_use":
                yield block, "input", None
            elif block.get("type") == "tool_result":
                yield block, "content", str(block.get("tool_use_id"))


def _streamed(endpoint: Endpoint, events: list[dict[str, Any]]) -> Said | None:
    if endpoint == "responses":
        whole = [one.get("response") for one in events if one.get("type") == "response.completed"]
        return said_in(endpoint, whole[-1]) if whole else None
    if endpoint == "chat_completions":
        deltas = [
            delta
            for event in events
            for choice in _objects(event.get("choices"))
            if isinstance(delta := choice.get("delta"), dict)
        ]
        return _said("".join(_text(one, "content") for one in deltas), _gathered(deltas))
    blocks: dict[str, dict[str, Any]] = {}
    for event in events:
        block, delta = event.get("content_block"), event.get("delta")
        if isinstance(block, dict):
            blocks[_place(event)] = {**block, "pieces": ""}
        elif isinstance(delta, dict) and (known := blocks.get(_place(event))) is not None:
            known["text"] = _text(known, "text") + _text(delta, "text")
            known["pieces"] += _text(delta, "partial_json")
    for one in blocks.values():
        if one["pieces"]:
            one["input"] = _read(one["pieces"])
    return _blocks(list(blocks.values()))


def _gathered(deltas: Sequence[Mapping[str, Any]]) -> list[tuple[str, Any]]:
    """Return the calls whose pieces came one after another."""
    calls: dict[str, tuple[str, str]] = {}
    for delta in deltas:
        for call in _objects(delta.get("tool_calls")):
            function = call.get("function")
            if isinstance(function, dict):
                name, pieces = calls.get(_place(call), ("", ""))
                name += _text(function, "name")
                calls[_place(call)] = (name, pieces + _text(function, "arguments"))
    return [(name, _read(pieces)) for name, pieces in calls.values()]


def _chat(messages: list[dict[str, Any]]) -> Said | None:
    if not messages:
        return None
    functions = [
        function
        for message in messages
        for call in _objects(message.get("tool_calls"))
        if isinstance(function := call.get("function"), dict)
    ]
    calls = [(_text(one, "name"), _read(one.get("arguments"))) for one in functions]
    words = (text_in(one.get("content")) or _text(one, "refusal") for one in messages)
    return _said("".join(words), calls)


def _items(items: list[dict[str, Any]]) -> Said | None:
    if not items:
        return None
    words = (text_in(one.get("content")) for one in items if one.get("type") == "message")
    calls = [
        (_text(one, "name"), _read(one.get("arguments")))
        for one in items
        if one.get("type") == _ITEM_CALL
    ]
    return _said("".join(words), calls)


def _blocks(blocks: list[dict[str, Any]]) -> Said | None:
    if not blocks:
        return None
    calls = [(_text(one, "name"), one.get("input")) for one in blocks
             if one.get("type") == "tool_use"]  # fmt: skip
    words = (_text(one, "text") for one in blocks if one.get("type") == "text")
    return _said("".join(words), calls)


def _said(text: str, calls: Sequence[tuple[str, Any]]) -> Said:
    named = tuple(f"{name} {_written(arguments)}" for name, arguments in calls)
    return Said(text=text, calls=named)


def _written(arguments: Any) -> str:
    try:
        return arguments if isinstance(arguments, str) else canonical(arguments).decode()
    except Invalid:
        return "?"


def _read(arguments: Any) -> Any:
    """Return arguments as a value; a text that is none stays as it is."""
    if not isinstance(arguments, str):
        return arguments
    try:
        return parse(arguments)
    except Invalid:
        return arguments


def _place(piece: Mapping[str, Any]) -> str:
    """Return which of several a piece belongs to, whatever its sender says that with."""
    return str(piece.get("index"))


def _text(said: Mapping[str, Any], name: str) -> str:
    found = said.get(name)
    return found if isinstance(found, str) else ""


def _objects(said: object) -> Iterator[dict[str, Any]]:
    if isinstance(said, list):
        yield from (one for one in said if isinstance(one, dict))
