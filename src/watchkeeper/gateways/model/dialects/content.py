"""What the messages of a call of Anthropic's protocol hold: images, references, tools, text.

Blocks as in https://platform.claude.com/docs/en/api/messages. A kind of block that is not known
here could bring tools or content that nobody would see, so it does not pass.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from watchkeeper.gateways.model.dialects.reading import is_plain
from watchkeeper.gateways.model.errors import malformed, never_passed

_INLINE = frozenset(
    {
        "text",
        "thinking",
        "redacted_thinking",
        "tool_use",
        "search_result",
        "tool_reference",
        "browser_state",
        "tool_removal",
        "fallback",
    }
)
_ELSEWHERE = frozenset(
    {
        "server_tool_use",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "tool_search_tool_result",
        "advisor_tool_result",
        "mcp_tool_use",
        "mcp_tool_result",
        "mcp_tool_listing",
        "container_upload",
    }
)
"""What stands for more than it holds: files, and what tools of the provider found."""
_NAMES = frozenset({"type", "role", "content", "source", "text", "tool", "definition", "data"})
_PLAIN = frozenset({"text", "tool_addition", "tool_removal", "tool_reference"})
_ROLES = frozenset({"user", "assistant", "system"})


@dataclass(slots=True)
class Content:
    """What matters of all messages."""

    images: int = 0
    image_bytes: int = 0
    elsewhere: bool = False
    """Whether the provider fetches, or unpacks, what is longer than the body shows."""
    tools: list[Any] = field(default_factory=list)
    """Definitions of tools that messages bring."""
    instructions: list[str] = field(default_factory=list)
    """The text of each message that instructs the model."""
    instructs_by_more: bool = False
    """Whether such a message holds more than text and tools."""


def read_content(messages: list[Any]) -> Content:
    """Look through messages; raise `ModelError` for what can't be read or never passes."""
    found = Content()
    for one in messages:
        message = object_of(one, _NAMES, "a message, with `role` and `content`,")
        role, content = message.get("role"), message.get("content")
        if role not in _ROLES:
            raise malformed("the role of a message is user, assistant or system")
        if role == "system":
            found.instructions.append(text_in(content))
            found.instructs_by_more |= not is_text(content)
        _look_through(content, found)
    return found


def object_of(said: object, names: Collection[str], what: str) -> dict[str, Any]:
    """Return what is an object; raise `ModelError` for what is none, or has a member that is
    one of `names` but for its case.
    """
    if not isinstance(said, dict):
        raise malformed(f"{what} is an object")
    if not is_plain(said, names):
        raise malformed(f"a member of {what} is written in other case than the API has it")
    return said


def text_in(content: object) -> str:
    """Return the text of a string or of blocks; raise `ModelError` for neither."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(
        block["text"]
        for block in blocks_of(content)
        if block.get("type") == "text" and isinstance(block.get("text"), str)
    )


def is_text(content: object) -> bool:
    """Tell whether a content that instructs says all of it in text."""
    if content is None or isinstance(content, str):
        return True
    return all(block["type"] in _PLAIN for block in blocks_of(content))


def blocks_of(content: object) -> Iterator[dict[str, Any]]:
    """Return the blocks of a content that is a list of them; raise `ModelError` if it is not."""
    if not isinstance(content, list):
        raise malformed("content is a text or a list of blocks")
    for one in content:
        block = object_of(one, _NAMES, "a block of content")
        if not isinstance(block.get("type"), str):
            raise malformed("a block of content has a `type`")
        yield block


def _look_through(content: object, found: Content) -> None:
    """Take note of blocks, and of those within results and documents."""
    if content is None or isinstance(content, str):
        return
    for block in blocks_of(content):
        kind = block["type"]
        if kind in _INLINE:
            continue
        if kind == "tool_result":
            _look_through(block.get("content"), found)
        elif kind in ("image", "document"):
            _look_at_source(kind, block.get("source"), found)
        elif kind == "compaction":
            _look_through(block.get("tool_changes"), found)
        elif kind == "tool_addition":
            _look_at_tool(block.get("tool"), found)
        elif kind in _ELSEWHERE:
            found.elsewhere = True
        else:
            raise never_passed(
                "gateway/unknown-content",
                f"the plane does not know what content of type {kind[:80]!r} does",
                "the same call without it",
            )


def _look_at_source(kind: str, said: object, found: Content) -> None:
    source = object_of(said, _NAMES, f"the source of an {kind}")
    given = source.get("type")
    if kind == "image" and given == "base64":
        found.images += 1
        data = source.get("data")
        found.image_bytes += len(data) if isinstance(data, str) else 0
    elif kind == "document" and given == "content":
        _look_through(source.get("content"), found)
    elif kind != "document" or given != "text":
        # pages of a PDF are read as text and as pictures, whatever it was packed to
        found.elsewhere = True


def _look_at_tool(said: object, found: Content) -> None:
    tool = object_of(said, _NAMES, "a tool that is added")
    if tool.get("type") == "tool_definition":
        found.tools.append(tool.get("definition"))
