"""What a response used: as the provider says, or counted from above where it does not."""

from __future__ import annotations

import msgspec

from watchkeeper.gateways.model.dialects.counting import ReportMeter, error_name, reason_in
from watchkeeper.gateways.model.dialects.reading import NOTHING, is_given
from watchkeeper.tools.upstreams.events import data_in

_LAST = frozenset({"response.completed", "response.incomplete", "response.failed"})
_SILENT = frozenset({"message", "reasoning"})


class _Item(msgspec.Struct):
    type: str | None = None


class _Event(msgspec.Struct):
    type: str = ""
    delta: msgspec.Raw = NOTHING
    response: msgspec.Raw = NOTHING
    item: _Item | None = None
    error: msgspec.Raw = NOTHING


class _Response(msgspec.Struct):
    id: msgspec.Raw = NOTHING
    model: msgspec.Raw = NOTHING
    incomplete_details: msgspec.Raw = NOTHING
    status: str | None = None
    usage: msgspec.Raw = NOTHING
    error: msgspec.Raw = NOTHING
    output: msgspec.Raw = NOTHING


class _Part(msgspec.Struct):
    type: str = ""
    text: str = ""


class _Output(msgspec.Struct):
    type: str = ""
    content: list[_Part] | None = None


_event = msgspec.json.Decoder(_Event)
_response = msgspec.json.Decoder(_Response)
_outputs = msgspec.json.Decoder(list[_Output])


class ResponsesMeter(ReportMeter):
    """Counts one response, whole or event by event."""

    def __init__(self, most_input: int, most_output: int, *, thinks: bool) -> None:
        super().__init__(most_input, most_output if thinks else 0)
        self._most_output = most_output

    def take(self, data: bytes, *, whole: bool) -> bool:
        """Count; the caller has all of it."""
        try:
            if whole:
                self._take_response(data)
            else:
                self._take_event(data)
        except (msgspec.MsgspecError, RecursionError):
            self.passed += len(data)
        return True

    def _take_event(self, data: bytes) -> None:
        event = _event.decode(data)
        self.passed += len(bytes(event.delta))
        if event.item is not None and event.item.type == "reasoning":
            self.hidden = self._most_output
        if event.type in _LAST:
            self.done = True
            self._take_response(event.response)
        elif event.type == "error" or is_given(event.error):
            self.failure = error_name(event.error if is_given(event.error) else msgspec.Raw(data))

    def _take_response(self, said: bytes | msgspec.Raw) -> None:
        response = _response.decode(said)
        self.naming.begin(response.id, response.model)
        self.naming.end(reason_in(response.incomplete_details) or response.status)
        if is_given(response.usage):
            self.report(response.usage)
        if is_given(response.error):
            self.failure = error_name(response.error)
        elif response.status == "failed":
            self.failure = "an error without a name"
        self.passed = max(self.passed, len(bytes(response.output)))


def text_of(body: bytes, *, streamed: bool) -> str | None:
    """Return the words of a complete answer that calls no tool."""
    try:
        response = _response.decode(_last_response(body) if streamed else body)
        if response.status not in (None, "completed"):
            return None
        outputs = _outputs.decode(response.output)
    except (msgspec.MsgspecError, RecursionError):
        return None
    if any(one.type not in _SILENT for one in outputs):
        return None
    parts = [part for one in outputs if one.type == "message" for part in one.content or ()]
    if any(part.type != "output_text" for part in parts):
        return None
    return "".join(part.text for part in parts) or None


def _last_response(stream: bytes) -> bytes:
    found = b""
    for data in data_in(stream):
        said = _event.decode(data)
        if said.type in _LAST:
            found = bytes(said.response) if said.type == "response.completed" else b""
    return found
