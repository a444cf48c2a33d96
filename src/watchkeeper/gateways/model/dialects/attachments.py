"""What calls of OpenAI's protocol carry beside text, or refer to without carrying it.

What a provider makes of text is bounded by its bytes. Images are scaled down, to so many tokens at
most; what files and sounds come to, and what lies elsewhere, nobody knows before the provider does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from watchkeeper.gateways.model.dialects.reading import is_given, is_plain, likely_tokens
from watchkeeper.gateways.model.errors import malformed

IMAGE_TOKENS = 25_000
"""The most that an image comes to: 10,000 patches of 32 by 32 pixels, up to 2.46 tokens for each
(https://platform.openai.com/docs/guides/images-vision)."""
_LIKELY_IMAGE_TOKENS = 1_500
_MOST_PIECES = 20_000
_TEXT_FILE, _PDF, _SOUND = 4, 40, 100
"""How many bytes in base64 come to a token, usually."""
_PARTS = frozenset(
    {
        "text",
        "input_text",
        "output_text",
        "refusal",
        "summary_text",
        "reasoning_text",
        "image_url",
        "input_image",
        "computer_screenshot",
        "file",
        "input_file",
        "input_audio",
    }
)
"""What content is made of; of other kinds nobody knows what they come to."""
_ITEMS = frozenset(
    {
        "message",
        "function_call",
        "function_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
        "computer_call",
        "computer_call_output",
        "local_shell_call",
        "local_shell_call_output",
        "shell_call",
        "shell_call_output",
        "apply_patch_call",
        "apply_patch_call_output",
        "mcp_list_tools",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_call",
    }
)
"""Items that hold all that the model is given of them."""
_PART = frozenset(
    {"type", "text", "image_url", "file", "file_id", "file_url", "file_data", "input_audio", "url"}
)
_ITEM = frozenset(
    {
        "type",
        "role",
        "content",
        "output",
        "tools",
        "audio",
        "encrypted_content",
        "server_label",
        "approval_request_id",
        "id",
    }
)
_parts = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_item = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)


@dataclass(slots=True)
class Attached:
    """What messages, or items, carry and refer to."""

    pieces: int = 0
    """Messages or items, and parts of their contents."""
    images: int = 0
    aside_bytes: int = 0
    """Of images, files and sounds: these are no text."""
    aside_tokens: int = 0
    """What they probably come to."""
    elsewhere: bool = False
    """Whether nobody knows what it comes to."""
    tools: list[msgspec.Raw] = field(default_factory=list)
    """Lists of tools that items bring."""
    approved: list[str] = field(default_factory=list)
    """Requests of tool servers, by id, that the call approves."""
    requested: dict[str, str] = field(default_factory=dict)
    """Requests of tool servers for approval: id → label of the server."""

    def most_tokens(self, size: int, context_window: int) -> int:
        """Return the most that a body of so many bytes comes to."""
        if self.elsewhere:
            return context_window
        return min(size + self.images * IMAGE_TOKENS, context_window)

    def likely_tokens(self, size: int) -> int:
        """Return what a body of so many bytes probably comes to."""
        return likely_tokens(size - self.aside_bytes) + self.aside_tokens


def read_messages(messages: Sequence[msgspec.Raw]) -> Attached:
    """Look through the messages of a chat; raise `ModelError` for what has two readings."""
    found = Attached()
    _count(found, len(messages))
    for said in messages:
        message = _object(said)
        _read_content(message.get("content"), found)
        # a sound that the model made before is referred to by its id
        found.elsewhere |= is_given(message.get("audio"))
    return found


def read_items(items: Sequence[msgspec.Raw]) -> Attached:
    """Look through the input of a response; raise `ModelError` for what has two readings."""
    found = Attached()
    _count(found, len(items))
    for said in items:
        item = _object(said)
        kind = _text_in(item, "type") or ("message" if "content" in item else "item_reference")
        if "tools" in item and kind != "mcp_list_tools":
            found.tools.append(item["tools"])
        if kind == "mcp_approval_request":
            found.requested[_text_in(item, "id") or ""] = _text_in(item, "server_label") or ""
        if kind == "mcp_approval_response":
            found.approved.append(_text_in(item, "approval_request_id") or "")
        if kind == "reasoning":
            found.elsewhere |= not is_given(item.get("encrypted_content"))
        elif kind in ("additional_tools", "tool_search_output"):
            found.elsewhere |= "tools" not in item
        elif kind not in _ITEMS:
            found.elsewhere = True
        _read_content(item.get("content"), found)
        _read_content(item.get("output"), found)
    return found


def _count(found: Attached, more: int) -> None:
    found.pieces += more
    if found.pieces > _MOST_PIECES:
        raise malformed(f"a call has {_MOST_PIECES:,} messages, items and parts of them at most")


def _object(said: msgspec.Raw) -> dict[str, msgspec.Raw]:
    try:
        found = _item.decode(said)
    except (msgspec.MsgspecError, RecursionError):
        raise malformed("a message or item is an object") from None
    if not is_plain(found, _ITEM):
        raise malformed("a member of a message is written in other case than the API has it")
    return found


def _read_content(said: msgspec.Raw | None, found: Attached) -> None:
    """Look through a content: a text, one part, or a list of parts."""
    if said is None:
        return
    raw = bytes(said).lstrip()
    if raw[:1] not in (b"[", b"{"):
        return
    try:
        parts = _parts.decode(raw if raw[:1] == b"[" else b"[" + raw + b"]")
    except (msgspec.MsgspecError, RecursionError):
        # a list of something else, e.g. what a shell printed: text, with nothing in it to fetch
        found.elsewhere |= raw[:1] == b"["
        return
    _count(found, len(parts))
    for part in parts:
        if not is_plain(part, _PART):
            raise malformed("a member of a content is written in other case than the API has it")
        _read_part(part, found)


def _read_part(part: Mapping[str, msgspec.Raw], found: Attached) -> None:
    image = part.get("image_url")
    if image is not None and _is_inline(image):
        found.images += 1
        _put_aside(found, image, 0)
        found.aside_tokens += _LIKELY_IMAGE_TOKENS
    elif any(is_given(part.get(name)) for name in ("image_url", "file_id", "file_url")):
        found.elsewhere = True
    for name in ("file", "file_data", "input_audio"):
        said = part.get(name)
        if said is not None and is_given(said):
            found.elsewhere = True
            a_token = _SOUND if name == "input_audio" else _bytes_a_token(bytes(said))
            _put_aside(found, said, len(bytes(said)) // a_token)
    kind = _text_in(part, "type")
    found.elsewhere |= kind not in _PARTS if kind else "text" not in part and "stdout" not in part


def _put_aside(found: Attached, said: msgspec.Raw, tokens: int) -> None:
    found.aside_bytes += len(bytes(said))
    found.aside_tokens += tokens


def _is_inline(image: msgspec.Raw) -> bool:
    """Tell whether an image comes with the call: its address holds it."""
    raw = bytes(image).lstrip()
    if raw[:1] == b"{":
        try:
            raw = bytes(_item.decode(raw).get("url", b""))
        except (msgspec.MsgspecError, RecursionError):
            return False
    return raw.startswith(b'"data:')


def _bytes_a_token(file: bytes) -> int:
    return _PDF if b"application/pdf" in file[:300] or b"JVBER" in file[:300] else _TEXT_FILE


def _text_in(said: Mapping[str, msgspec.Raw], name: str) -> str | None:
    """Return a member that is a text; None for another, which no provider takes."""
    try:
        return _text.decode(said[name]) if name in said else None
    except msgspec.MsgspecError:
        return None
