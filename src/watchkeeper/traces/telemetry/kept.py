"""What is kept of a reported span, as it is written."""

from __future__ import annotations

from typing import Literal

import msgspec

from watchkeeper.wire.traces import SpanStatus


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """A reported span without what the plane says of it: whose it is, and of which run."""

    place: str
    """What names it in its trace."""
    span: str
    parent: str | None
    operation: str
    subject: str
    start: int
    end: int
    status: SpanStatus
    error: str | None
    # JSON
    links: str | None
    marks: str | None
    attributes: str | None


class Call(msgspec.Struct, frozen=True, array_like=True):
    """A reported call, to be held against what the gateways decided."""

    place: str
    parent: str | None
    kind: Literal["tool", "model"]
    subject: str
    call: str | None
    """Its id, as the agent has it."""
    start: int
    end: int
