"""Usage as providers of OpenAI's protocol report it, and what counts where they do not."""

from __future__ import annotations

import re

import msgspec

from watchkeeper.wire.decisions import LARGEST_USAGE, PROVIDER_WORD, Response, Usage

_INPUT = ("input_tokens", "prompt_tokens")
_OUTPUT = ("output_tokens", "completion_tokens")
_DETAILS = ("input_tokens_details", "prompt_tokens_details")
_OUTPUT_DETAILS = ("output_tokens_details", "completion_tokens_details")
_MOST_REASONS = 8
_word = re.compile(PROVIDER_WORD).fullmatch
_quoted = re.compile(f'"({PROVIDER_WORD})"'.encode()).fullmatch
_ERROR = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,59}")


class Naming:
    """What a provider calls its answer: names alone, and of anything else nothing."""

    __slots__ = ("_id", "_model", "_reasons", "begun")

    def __init__(self) -> None:
        self.begun = False
        """Whether it was told what the answer is; most providers repeat it in every event."""
        self._id: str | None = None
        self._model: str | None = None
        self._reasons: tuple[str, ...] = ()

    def begin(self, id_: msgspec.Raw, model: msgspec.Raw) -> None:
        """Take which answer it is, and which model's."""
        self.begun = True
        self._id, self._model = _named(id_), _named(model)

    def end(self, reason: object) -> None:
        """Take why it ended, or one of its choices."""
        if not isinstance(reason, str) or not _word(reason) or reason in self._reasons:
            return
        if len(self._reasons) < _MOST_REASONS:
            self._reasons = (*self._reasons, reason)

    def told(self) -> Response | None:
        """Return it; None where the provider said nothing."""
        if not (self._id or self._model or self._reasons):
            return None
        return Response(id=self._id, model=self._model, finish_reasons=self._reasons)


class ReportMeter:
    """Counts the tokens of one answer: reported ones where they can be believed, bounds otherwise.

    A number below zero, or one that is none, is no report; no report can be larger than any
    call's usage.
    """

    def __init__(self, most_input: int, hidden: int, *, embeds: bool = False) -> None:
        """`hidden`: what may be generated without being passed on, where nobody says. `embeds`:
        nothing is generated.
        """
        self.done = False
        self.failure: str | None = None
        self.passed = 0
        """Bytes of the answer that were passed on."""
        self.hidden = hidden
        self._most_input = most_input
        self._embeds = embeds
        self._input: int | None = None
        self._output: int | None = 0 if embeds else None
        self._read = self._written = self._thought = 0
        self.naming = Naming()

    @property
    def estimated(self) -> bool:
        """Whether the provider reported no usage, or not all of it."""
        return self._input is None or self._output is None

    def report(self, said: msgspec.Raw) -> None:
        """Take what the provider says; of several reports the last counts."""
        usage = _object(said)
        self._input = _first(usage, _INPUT)
        if not self._embeds:
            self._output = _first(usage, _OUTPUT)
        details = next((usage[name] for name in _DETAILS if name in usage), None)
        if isinstance(details, dict):
            self._read = _first(details, ("cached_tokens",)) or 0
            self._written = _first(details, ("cache_write_tokens",)) or 0
        made = next((usage[name] for name in _OUTPUT_DETAILS if name in usage), None)
        if isinstance(made, dict):
            self._thought = _first(made, ("reasoning_tokens",)) or 0

    def usage(self) -> Usage:
        """Return what was used so far."""
        output = self._output
        if output is None:
            output = min(max(self.passed, self.hidden), LARGEST_USAGE)
        return Usage(
            input_tokens=self._most_input if self._input is None else self._input,
            output_tokens=output,
            cache_read_tokens=self._read,
            cache_write_tokens=self._written,
            reasoning_tokens=min(self._thought, output),
        )

    def response(self) -> Response | None:
        """Return what the provider said of its answer so far."""
        return self.naming.told()


def reason_in(details: msgspec.Raw) -> object:
    """Return the reason that an object names."""
    return _object(details).get("reason")


def error_name(error: msgspec.Raw) -> str:
    """Return what kind of error a provider's is. Its words are left to the caller, who gets the
    event: they may repeat what was sent, and this is recorded.
    """
    said = _object(error)
    for name in (said.get("code"), said.get("type")):
        if isinstance(name, str) and _ERROR.fullmatch(name):
            return name
    return "an error without a name"


def _named(said: msgspec.Raw) -> str | None:
    found = _quoted(bytes(said))
    return found[1].decode() if found else None


def _object(said: msgspec.Raw) -> dict[str, object]:
    try:
        found = msgspec.json.decode(said)
    except (msgspec.MsgspecError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _first(said: dict[str, object], names: tuple[str, ...]) -> int | None:
    """Return the first of some counts that is one."""
    for name in names:
        value = said.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return min(value, LARGEST_USAGE)
    return None
