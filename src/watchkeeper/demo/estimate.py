"""Counting tokens where no tokenizer is at hand.

The rule, for requests and answers alike: one token for every four bytes of UTF-8, rounded
up per message, and four more for each message's frame. Tool definitions count by their JSON.
English prose comes within about a tenth of what common tokenizers say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from watchkeeper.core.digest import canonical

BYTES_PER_TOKEN = 4
FRAME_TOKENS = 4


def text_tokens(text: str) -> int:
    """Return the tokens of a text."""
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


def message_tokens(message: Mapping[str, Any]) -> int:
    """Return the tokens of one chat message: its text, its tool calls and its frame."""
    total = FRAME_TOKENS + text_tokens(str(message.get("content") or ""))
    for call in message.get("tool_calls") or ():
        function = call.get("function", {})
        total += text_tokens(str(function.get("name", "")) + str(function.get("arguments", "")))
    return total


def prompt_tokens(
    messages: Iterable[Mapping[str, Any]], tools: Iterable[Mapping[str, Any]] = ()
) -> int:
    """Return the tokens of a request."""
    listed = list(tools)
    total = sum(message_tokens(message) for message in messages)
    return total + (-(-len(canonical(listed)) // BYTES_PER_TOKEN) if listed else 0)
