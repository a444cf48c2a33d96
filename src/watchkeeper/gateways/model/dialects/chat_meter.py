"""What a chat completion used: as the provider says, or counted from above where it does not."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from watchkeeper.gateways.model.dialects.counting import ReportMeter, error_name
from watchkeeper.gateways.model.dialects.reading import NOTHING, is_given
from watchkeeper.tools.upstreams.events import data_in

_DONE = b"[DONE]"


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    function: _Function | None = None


class _Text(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    delta: _Text | None = None
    message: _Text | None = None
    finish_reason: Any = None
    """Of any type: what is none of these words may not spoil what is counted."""


class _Reported(msgspec.Struct):
    usage: msgspec.Raw = NOTHING
    error: msgspec.Raw = NOTHING


class _Completion(_Reported):
    id: msgspec.Raw = NOTHING
    model: msgspec.Raw = NOTHING
    choices: list[_Choice] | None = None


_completion = msgspec.json.Decoder(_Completion)
_reported = msgspec.json.Decoder(_Reported)


class ChatMeter(ReportMeter):
    """Counts one completion, whole or event by event."""

    def __init__(self, most_input: int, hidden: int, *, wants_usage: bool) -> None:
        """`hidden`: what may be generated without being passed on, where nobody says."""
        super().__init__(most_input, hidden)
        self._wants_usage = wants_usage

    def take(self, data: bytes, *, whole: bool) -> bool:
        """Count; only usage that the caller did not ask for is kept back."""
        if data[:1] != b"{" and data.strip() == _DONE:
            self.done = True
            return True
        try:
            completion = _completion.decode(data)
        except (msgspec.MsgspecError, RecursionError):
            # some providers write content as a list; what they report counts all the same
            self.passed += len(data)
            with suppress(msgspec.MsgspecError, RecursionError):
                self._take_report(_reported.decode(data))
            return True
        if not self.naming.begun:
            self.naming.begin(completion.id, completion.model)
        says_usage = False
        if completion.usage is not NOTHING or completion.error is not NOTHING:
            says_usage = self._take_report(completion)
        for choice in completion.choices or ():
            if choice.finish_reason is not None:
                self.naming.end(choice.finish_reason)
            if choice.delta is not None:
                self.passed += _size(choice.delta)
            if choice.message is not None:
                self.passed += _size(choice.message)
        only_usage = says_usage and not completion.choices and self.failure is None
        return whole or self._wants_usage or not only_usage

    def _take_report(self, said: _Reported) -> bool:
        """Take usage and error; tell whether there is a usage."""
        if said.error is not NOTHING and is_given(said.error):
            self.failure = error_name(said.error)
        says_usage = said.usage is not NOTHING and is_given(said.usage)
        if says_usage:
            self.report(said.usage)
        return says_usage


def text_of(body: bytes, *, streamed: bool) -> str | None:
    """Return the words of a complete answer, where it is one choice that calls no tool."""
    if not streamed:
        return _words([body], whole=True)
    found = data_in(body)
    if not found or found[-1].strip() != _DONE:
        return None
    return _words(found[:-1], whole=False)


def _words(pieces: list[bytes], *, whole: bool) -> str | None:
    words: list[str] = []
    for data in pieces:
        try:
            completion = _completion.decode(data)
        except (msgspec.MsgspecError, RecursionError):
            return None
        choices = completion.choices or []
        if len(choices) > 1 or (whole and not choices):
            return None
        for choice in choices:
            said = choice.message if whole else choice.delta
            if said is None or said.tool_calls or said.refusal:
                return None
            words.append(said.content or "")
    return "".join(words) or None


def _size(text: _Text) -> int:
    size = len(text.content.encode()) if text.content else 0
    if text.reasoning_content:
        size += len(text.reasoning_content.encode())
    if text.reasoning:
        size += len(text.reasoning.encode())
    if text.refusal:
        size += len(text.refusal.encode())
    for call in text.tool_calls or ():
        if call.function is not None:
            size += len((call.function.name or "").encode())
            size += len((call.function.arguments or "").encode())
    return size
