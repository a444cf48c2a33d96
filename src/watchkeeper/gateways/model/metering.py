"""What a completion used: as the provider says, or estimated where it does not."""

from __future__ import annotations

import msgspec

from watchkeeper.gateways.model.route import Route
from watchkeeper.wire.decisions import LARGEST_USAGE, Usage

_BYTES_PER_TOKEN = 3
_DONE = b"[DONE]"


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


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


class Meter:
    """Counts one completion, whole or event by event."""

    def __init__(self, route: Route, input_tokens: int) -> None:
        self._route = route
        self._input_tokens = input_tokens
        self._reported: _Usage | None = None
        self._bytes = 0
        self.done = False
        """The stream said that it is complete."""

    @property
    def estimated(self) -> bool:
        """Whether the provider reported no usage."""
        return self._reported is None

    def take(self, data: bytes) -> bool:
        """Count a body or the data of one event; tell whether it holds nothing but usage."""
        if data.strip() == _DONE:
            self.done = True
            return False
        try:
            completion = _completion.decode(data)
        except (msgspec.MsgspecError, RecursionError):
            self._bytes += len(data)
            return False
        if completion.usage is not None:
            self._reported = completion.usage
        for choice in completion.choices:
            for text in (choice.delta, choice.message):
                if text is not None:
                    self._bytes += _size(text)
        return completion.usage is not None and not completion.choices

    def usage(self) -> Usage:
        """Return what was used so far, priced."""
        if self._reported is not None:
            used_in = min(max(0, self._reported.prompt_tokens), LARGEST_USAGE)
            used_out = min(max(0, self._reported.completion_tokens), LARGEST_USAGE)
        else:
            used_in, used_out = self._input_tokens, -(-self._bytes // _BYTES_PER_TOKEN)
        used = Usage(input_tokens=used_in, output_tokens=used_out)
        cost = min(self._route.cost_micros(used), LARGEST_USAGE)
        return used.model_copy(update={"cost_micros": cost})


def _size(text: _Text) -> int:
    parts = [text.content, text.reasoning_content, text.refusal]
    for call in text.tool_calls or ():
        if call.function is not None:
            parts += [call.function.name, call.function.arguments]
    return sum(len(part.encode()) for part in parts if part)
