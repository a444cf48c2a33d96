"""A model call as the plans read it, and what is said to it, whatever the protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from watchkeeper.core.digest import canonical
from watchkeeper.demo.plans.conversation import Step
from watchkeeper.wire.function_names import without_dots

PIECE = 24
"""Characters of one piece of a streamed answer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One call: its chat in the form of chat completions."""

    model: str
    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] = ()
    most: int | None = None
    """Tokens of the answer at most."""
    stream: bool = False
    with_usage: bool = True
    """Whether a stream says what it used."""


@dataclass(frozen=True, slots=True)
class Said:
    """One answer with what it took."""

    id: str
    created: int
    model: str
    step: Step
    position: int
    """Messages before it."""
    tokens_in: int
    tokens_out: int

    @property
    def call_id(self) -> str:
        """The id of its tool call."""
        return f"call_{self.position:03d}"

    @property
    def function(self) -> str:
        """The name of the tool that it calls, as protocols allow it."""
        return without_dots(self.step.tool or "")

    @property
    def arguments(self) -> str:
        """The arguments of its tool call as JSON."""
        return canonical(dict(self.step.arguments or {})).decode()


class Spoken(Protocol):
    """One protocol. `read` raises `KeyError`, `TypeError` or `AttributeError` for another body."""

    def read(self, body: Mapping[str, Any]) -> Asked:
        """Return what is asked."""
        ...

    def whole(self, said: Said) -> dict[str, Any]:
        """Return an answer in one piece."""
        ...

    def pieces(self, said: Said, asked: Asked) -> Iterator[bytes]:
        """Yield an answer as the events of a stream."""
        ...


def event(body: Mapping[str, Any], name: str | None = None) -> bytes:
    """Return one server-sent event."""
    head = b"event: " + name.encode() + b"\n" if name else b""
    return head + b"data: " + canonical(body) + b"\n\n"


def cut(text: str, size: int = PIECE) -> Iterator[str]:
    """Yield a text in pieces."""
    return (text[at : at + size] for at in range(0, len(text), size))
