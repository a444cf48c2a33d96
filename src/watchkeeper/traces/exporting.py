"""The plane's spans as OTLP: which of them are complete by what events, and their messages.

https://opentelemetry.io/docs/specs/otlp/; the messages are built from rows, without the SDK.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2 as otlp

from watchkeeper.core.digest import canonical
from watchkeeper.store.journal import Event
from watchkeeper.traces.attributes import attributes_of
from watchkeeper.traces.model import Span
from watchkeeper.traces.rules import keys_of

_NANOSECONDS = 1000
_STATUS = {
    "unset": otlp.Status.STATUS_CODE_UNSET,
    "ok": otlp.Status.STATUS_CODE_OK,
    "error": otlp.Status.STATUS_CODE_ERROR,
}


def ended_in(events: Iterable[Event], spans: Mapping[str, Span]) -> list[Span]:
    """Return the spans that ended with one of some events, each once; `spans` by their keys."""
    found: dict[str, Span] = {}
    for event in events:
        for key in keys_of((event,)):
            span = spans.get(key)
            if span is not None and span.end == event.at:
                found[key] = span
    return list(found.values())


def request_of(resource: Mapping[str, str]) -> tuple[ExportTraceServiceRequest, Any]:
    """Return an empty request of a resource, and its scope, which spans are added to."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.extend(_attributes(resource))
    scope = group.scope_spans.add()
    scope.scope.name = "watchkeeper"
    scope.scope.version = resource.get("service.version", "")
    return request, scope


def message_of(span: Span) -> otlp.Span:
    """Return a span as its message."""
    model = span.kind == "action" and span.operation != "execute_tool"
    return otlp.Span(
        trace_id=bytes.fromhex(span.trace),
        span_id=bytes.fromhex(span.span),
        parent_span_id=bytes.fromhex(span.parent) if span.parent else b"",
        name=span.name,
        kind=otlp.Span.SPAN_KIND_CLIENT if model else otlp.Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=span.start * _NANOSECONDS,
        end_time_unix_nano=(span.end or span.start) * _NANOSECONDS,
        attributes=_attributes(attributes_of(span)),
        links=[
            otlp.Span.Link(
                trace_id=bytes.fromhex(link.trace),
                span_id=bytes.fromhex(link.span),
                attributes=_attributes({"watchkeeper.relation": link.relation}),
            )
            for link in span.links
        ],
        events=[
            otlp.Span.Event(
                time_unix_nano=mark.at * _NANOSECONDS,
                name=mark.name,
                attributes=_attributes(
                    {"watchkeeper.text": mark.text, "watchkeeper.sequence": mark.sequence}
                ),
            )
            for mark in span.marks
        ],
        status=otlp.Status(code=_STATUS[span.status], message=span.error or ""),
    )


def read_answer(body: bytes) -> tuple[int, str]:
    """Return how many spans a receiver says it did not take, and why."""
    try:
        partial = ExportTraceServiceResponse.FromString(body).partial_success
    except Exception:  # the answer of something that is no receiver
        return 0, ""
    return int(partial.rejected_spans), str(partial.error_message)


def _attributes(found: Mapping[str, Any]) -> Sequence[KeyValue]:
    return [
        KeyValue(key=name, value=_value(value))
        for name, value in found.items()
        if value is not None and value != ""
    ]


def _value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, list | tuple):
        return AnyValue(array_value=ArrayValue(values=[_value(one) for one in value]))
    return AnyValue(string_value=value if isinstance(value, str) else canonical(value).decode())
