"""What a chat completion used: as the provider says, or counted from above where it does not."""

from __future__ import annotations

import msgspec

from watchkeeper.tools.upstreams.events import EventSplitter, data_of
from watchkeeper.wire.decisions import LARGEST_USAGE, Usage

_DONE = b"[DONE]"


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    function: _Function | None = None


class _Text(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    delta: _Text | None = None
    message: _Text | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None


_completion = msgspec.json.Decoder(_Completion)


class ChatMeter:
    """Counts one completion, whole or event by event."""

    def __init__(self, most_input: int, *, wants_usage: bool) -> None:
        self._most_input = most_input
        self._wants_usage = wants_usage
        self._reported: _Usage | None = None
        self._bytes = 0
        self.done = False
        self.failure: str | None = None

    @property
    def estimated(self) -> bool:
        """Whether the provider reported no usage."""
        return self._reported is None

    def take(self, data: bytes, *, whole: bool) -> bool:
        """Count; only usage that the caller did not ask for is kept back."""
        if data.strip() == _DONE:
            self.done = True
            return True
        try:
            completion = _completion.decode(data)
        except (msgspec.MsgspecError, RecursionError):
            self._bytes += len(data)
            return True
        if completion.usage is not None:
            self._reported = completion.usage
        for choice in completion.choices:
            for text in (choice.delta, choice.message):
                if text is not None:
                    self._bytes += _size(text)
        only_usage = completion.usage is not None and not completion.choices
        return whole or self._wants_usage or not only_usage

    def usage(self) -> Usage:
        """Return what was used so far."""
        if self._reported is None:
            return Usage(input_tokens=self._most_input, output_tokens=self._bytes)
        used = self._reported
        return Usage(
            input_tokens=min(max(0, used.prompt_tokens or 0), LARGEST_USAGE),
            output_tokens=min(max(0, used.completion_tokens or 0), LARGEST_USAGE),
        )


def text_of(body: bytes, *, streamed: bool) -> str | None:
    """Return the words of a complete answer, where it is one choice that calls no tool."""
    if not streamed:
        return _words([body], whole=True)
    splitter = EventSplitter()
    found = [data_of(event) for event in splitter.feed(body)]
    if splitter.rest() or not found or found[-1].strip() != _DONE:
        return None
    return _words([data for data in found[:-1] if data], whole=False)


def _words(pieces: list[bytes], *, whole: bool) -> str | None:
    words: list[str] = []
    for data in pieces:
        try:
            completion = _completion.decode(data)
        except (msgspec.MsgspecError, RecursionError):
            return None
        if len(completion.choices) > 1 or (whole and not completion.choices):
            return None
        for choice in completion.choices:
            said = choice.message if whole else choice.delta
            if said is None or said.tool_calls or said.refusal:
                return None
            words.append(said.content or "")
    return "".join(words) or None


def _size(text: _Text) -> int:
    parts = [text.content, text.reasoning_content, text.refusal]
    for call in text.tool_calls or ():
        if call.function is not None:
            parts += [call.function.name, call.function.arguments]
    return sum(len(part.encode()) for part in parts if part)
