"""What real providers refuse of the functions that a call names: names with other signs.

OpenAI: https://platform.openai.com/docs/api-reference/chat/create (`tools.function.name`), which
holds for the calls in earlier messages too; Anthropic:
https://platform.claude.com/docs/en/api/messages (`tools.name`, and `tool_use` blocks).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_OPENAI = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ANTHROPIC = re.compile(r"[a-zA-Z0-9_-]{1,128}")
Place = tuple[str, object]
"""Where a name is in the body, and the name."""


def openai_refusal(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the error that OpenAI answers to a call with 400; None where it takes the names."""
    for place, name in (*_chat(body), *_responses(body)):
        if not isinstance(name, str) or _OPENAI.fullmatch(name) is None:
            said = f"Invalid '{place}': string does not match pattern. Expected a string that "
            message = said + "matches the pattern '^[a-zA-Z0-9_-]+$', of 64 characters at most."
            error = {"message": message, "param": place, "code": "invalid_value"}
            return {"error": {**error, "type": "invalid_request_error"}}
    return None


def anthropic_refusal(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the error that Anthropic answers to a call with 400; None likewise."""
    for place, name in _messages(body):
        if not isinstance(name, str) or _ANTHROPIC.fullmatch(name) is None:
            message = f"{place}: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
            error = {"type": "invalid_request_error", "message": message}
            return {"type": "error", "error": error}
    return None


def _chat(body: dict[str, Any]) -> Iterator[Place]:
    for n, tool in enumerate(body.get("tools") or ()):
        if "function" in tool:
            yield f"tools[{n}].function.name", tool["function"].get("name")
    for n, message in enumerate(body.get("messages") or ()):
        for k, call in enumerate(message.get("tool_calls") or ()):
            if "function" in call:
                where = f"messages[{n}].tool_calls[{k}].function.name"
                yield where, call["function"].get("name")


def _responses(body: dict[str, Any]) -> Iterator[Place]:
    for n, tool in enumerate(body.get("tools") or ()):
        if tool.get("type") == "function" and "function" not in tool:
            yield f"tools[{n}].name", tool.get("name")
    said = body.get("input")
    for n, item in enumerate(said if isinstance(said, list) else ()):
        if isinstance(item, dict) and item.get("type") == "function_call":
            yield f"input[{n}].name", item.get("name")


def _messages(body: dict[str, Any]) -> Iterator[Place]:
    for n, tool in enumerate(body.get("tools") or ()):
        if tool.get("type", "custom") == "custom":
            yield f"tools.{n}.custom.name", tool.get("name")
    for n, message in enumerate(body.get("messages") or ()):
        content = message.get("content")
        for k, block in enumerate(content if isinstance(content, list) else ()):
            if isinstance(block, dict) and block.get("type") == "tool_use":
                yield f"messages.{n}.content.{k}.tool_use.name", block.get("name")
