"""What an answer of Anthropic's protocol used, whole or event by event.

https://platform.claude.com/docs/en/build-with-claude/streaming: `message_start` says what went
in, each `message_delta` the output so far; the last one counts. Input from and to the prompt
cache is counted apart there, and is part of the input here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from watchkeeper.gateways.model.dialects.counting import Naming, error_name
from watchkeeper.gateways.model.dialects.reading import NOTHING
from watchkeeper.tools.upstreams.events import data_in
from watchkeeper.wire.decisions import LARGEST_USAGE, Response, Usage


class _Written(msgspec.Struct):
    """What was written to the prompt cache, by how long it is kept there."""

    ephemeral_1h_input_tokens: int = 0


class _Counted(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class _Usage(_Counted):
    cache_creation: _Written | None = None
    iterations: list[_Counted] | None = None
    """Each round of a call; the sums beside them leave out what summing up cost."""


class _Part(msgspec.Struct):
    """A block of content, or what is added to one."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    name: str | None = None
    input: msgspec.Raw = NOTHING
    stop_reason: Any = None


class _Message(msgspec.Struct):
    id: msgspec.Raw = NOTHING
    model: msgspec.Raw = NOTHING
    stop_reason: Any = None
    type: str = ""
    content: list[_Part] = []
    usage: _Usage | None = None


class _Event(msgspec.Struct):
    type: str = ""
    message: _Message | None = None
    usage: _Usage | None = None
    content_block: _Part | None = None
    delta: _Part | None = None
    error: msgspec.Raw = NOTHING


_event = msgspec.json.Decoder(_Event)
_message = msgspec.json.Decoder(_Message)
_THOUGHTS = frozenset({"thinking", "redacted_thinking"})
_WORDS = _THOUGHTS | {"text"}


class MessagesMeter:
    """Counts one message."""

    def __init__(self, most_input: int, most_output: int) -> None:
        self._most_input = most_input
        self._most_output = most_output
        self._thinks = False
        self._used = _Counted()
        self._long = 0
        self._bytes = 0
        self._final = False
        self.done = False
        self.failure: str | None = None
        self._naming = Naming()

    @property
    def estimated(self) -> bool:
        """Whether the provider did not say what was used up to the end."""
        return not self._final

    def take(self, data: bytes, *, whole: bool) -> bool:
        """Count; the caller gets everything."""
        try:
            if whole:
                self._take_message(_message.decode(data), final=True)
            else:
                self._take_event(_event.decode(data))
        except (msgspec.MsgspecError, RecursionError):
            self._bytes += len(data)
        return True

    def usage(self) -> Usage:
        """Return what was used so far."""
        used = self._used
        output = used.output_tokens or 0
        if not self._final:
            # of thoughts the caller is given a summary, or nothing
            said = self._most_output if self._thinks else self._bytes
            output = max(output, said)
        if used.input_tokens is None:
            return Usage(input_tokens=self._most_input, output_tokens=_fit(output))
        read, written = used.cache_read_input_tokens or 0, used.cache_creation_input_tokens or 0
        return Usage(
            input_tokens=_fit(used.input_tokens + read + written),
            output_tokens=_fit(output),
            cache_read_tokens=_fit(read),
            cache_write_tokens=_fit(written),
            cache_write_long_tokens=_fit(min(self._long, written)),
        )

    def response(self) -> Response | None:
        """Return what the provider said of its answer so far."""
        return self._naming.told()

    def _take_event(self, event: _Event) -> None:
        if event.content_block is not None:
            self._thinks = self._thinks or event.content_block.type in _THOUGHTS
        for part in (event.content_block, event.delta):
            if part is not None:
                self._bytes += _size(part)
        if event.message is not None:
            self._take_message(event.message, final=False)
        if event.delta is not None and event.delta.stop_reason is not None:
            self._naming.end(event.delta.stop_reason)
        if event.type == "message_delta" and event.usage is not None:
            self._count(event.usage)
            self._final = event.usage.output_tokens is not None
        if event.type == "error":
            self.failure = error_name(event.error)
            self.done = True
        elif event.type == "message_stop":
            self.done = True

    def _take_message(self, message: _Message, *, final: bool) -> None:
        self._naming.begin(message.id, message.model)
        self._naming.end(message.stop_reason)
        self._bytes += sum(map(_size, message.content))
        if message.usage is not None:
            self._count(message.usage)
            self._final = final and message.usage.output_tokens is not None

    def _count(self, usage: _Usage) -> None:
        """Counts are sums so far, so that the largest is the newest."""
        if usage.cache_creation is not None:
            self._long = max(self._long, usage.cache_creation.ephemeral_1h_input_tokens)
        rounds = usage.iterations or ()
        for name in _Counted.__struct_fields__:
            said = getattr(usage, name)
            if rounds:
                said = max(said or 0, sum(max(0, getattr(one, name) or 0) for one in rounds))
            if said is not None:
                setattr(self._used, name, max(0, said, getattr(self._used, name) or 0))


class TokenCount:
    """Counts an answer that is a count of tokens itself: it uses none."""

    estimated = False
    done = True
    failure: str | None = None

    def take(self, data: bytes, *, whole: bool) -> bool:
        """Let the caller have it."""
        return True

    def usage(self) -> Usage:
        """Return nothing used."""
        return Usage()

    def response(self) -> Response | None:
        """Return nothing: it is no answer of a model."""
        return None


def text_of(body: bytes, *, streamed: bool) -> str | None:
    """Return the words of a complete answer that calls no tool; None for any other."""
    try:
        if not streamed:
            return _words(_message.decode(body).content)
        events = [_event.decode(data) for data in data_in(body)]
    except (msgspec.MsgspecError, RecursionError):
        return None
    if not events or events[-1].type != "message_stop":
        return None
    begun = [event.content_block for event in events if event.content_block is not None]
    if _words(begun) is None:
        return None
    return "".join(
        (part.text if part is not None else None) or ""
        for event in events
        for part in (event.content_block, event.delta)
    )


def _words(parts: list[_Part]) -> str | None:
    if not parts or any(part.type not in _WORDS for part in parts):
        return None
    return "".join(part.text or "" for part in parts)


def _size(part: _Part) -> int:
    texts = (part.text, part.thinking, part.partial_json, part.name)
    said = sum(len(text.encode()) for text in texts if text)
    return said + len(bytes(part.input))


def _fit(count: int) -> int:
    return min(count, LARGEST_USAGE)
