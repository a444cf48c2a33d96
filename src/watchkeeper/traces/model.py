"""Spans as they are derived, kept and told on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from watchkeeper.wire.traces import Relation, SpanKind, SpanSource, SpanStatus

MOST_MARKS = 40
"""Marks of one span; where there are more, those in the middle are left out."""
MOST_LINKS = 8


TOOL_CALLS = frozenset({"execute_tool", "retrieval"})
"""Operations of the plane's own spans that are calls of tools."""


class Link(msgspec.Struct, frozen=True):
    """Another span that one has to do with."""

    trace: str
    span: str
    relation: Relation


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """An entry of the ledger within a span: OpenTelemetry's span event."""

    at: int
    name: str
    text: str = ""
    sequence: int | None = None


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One span; the fields are those of `wire.traces.SpanRow`, and columns of `spans`."""

    key: str
    source: SpanSource = "plane"
    kind: SpanKind
    run: str | None
    trace: str
    span: str
    parent: str | None
    agent: str
    version: int | None = None
    operation: str
    subject: str
    start: int
    end: int | None = None
    status: SpanStatus = "unset"
    verdict: str | None = None
    outcome: str | None = None
    rule: str | None = None
    error: str | None = None
    request: str | None = None
    sequence: int | None = None
    principal: str | None = None
    cost_micros: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    calls: int = 0
    refusals: int = 0
    classes: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    marks: tuple[Mark, ...] = ()
    attributes: dict[str, Any] = {}
    """What no column holds, under its OpenTelemetry name; `attributes.attributes_of` has all."""

    @property
    def name(self) -> str:
        """The name as OpenTelemetry's GenAI conventions form it."""
        return name_of(self.operation, self.subject)


def name_of(operation: str, subject: str) -> str:
    """Return a span's name as OpenTelemetry's GenAI conventions form it."""
    return f"{operation} {subject}" if subject else operation


Spans = Mapping[str, Span]
"""The spans that stand, by key."""
