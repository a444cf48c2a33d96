"""What agents' telemetry says, once it is read. Times in microseconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from watchkeeper.wire.traces import SpanStatus


class Moment(NamedTuple):
    """An event within a span."""

    at: int
    name: str
    attributes: Mapping[str, Any]


class Record(NamedTuple):
    """One log record as an agent's telemetry has it; nothing of it is believed or safe yet."""

    at: int
    name: str
    """Of the event, where the record has a field for it."""
    body: Any
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    trace: str | None = None
    span: str | None = None


class Said(NamedTuple):
    """One span as an agent's telemetry has it; nothing of it is believed or safe yet."""

    trace: str
    span: str
    parent: str | None
    name: str
    start: int
    end: int
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    status: SpanStatus = "unset"
    error: str = ""
    moments: tuple[Moment, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    logged: bool = False
    """Whether a log record told of it; its span's id is then made up."""


class Named(NamedTuple):
    """What a span is about, whichever convention it was written in."""

    operation: str
    subject: str
    agent: str | None
    """The agent that it says is at work."""
    run: str | None
    """The run that it says it belongs to, of the plane's own ids."""
    session: str | None
    call: str | None
    """The id of a tool's call, or of a model's answer."""
    client: str | None
    """The coding agent whose session it is, as hooks name it."""


def place_of(said: Said) -> str:
    """Return what names a reported span in its trace."""
    return f"log/{said.span}" if said.logged else said.span
