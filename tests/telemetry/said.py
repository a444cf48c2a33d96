"""Telemetry as agents send it: OTLP in protobuf, made with the messages of OpenTelemetry."""

from __future__ import annotations

import gzip
from typing import Any

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.rig.plane import Plane

TRACE = "0af7651916cd43dd8448eb211c80319c"
PROTOBUF = "application/x-protobuf"


def value(of: Any) -> AnyValue:
    """Return an attribute's value."""
    if isinstance(of, bool):
        return AnyValue(bool_value=of)
    if isinstance(of, int):
        return AnyValue(int_value=of)
    if isinstance(of, float):
        return AnyValue(double_value=of)
    if isinstance(of, list):
        return AnyValue(array_value=ArrayValue(values=[value(one) for one in of]))
    if isinstance(of, dict):
        return AnyValue(kvlist_value=KeyValueList(values=attributes(of)))
    return AnyValue(string_value=of)


def attributes(of: dict[str, Any]) -> list[KeyValue]:
    """Return attributes."""
    return [KeyValue(key=name, value=value(one)) for name, one in of.items()]


def span(
    name: str,
    number: int,
    at: int,
    *,
    trace: str = TRACE,
    parent: int | None = None,
    took: int = 1000,
    **said: Any,
) -> Span:
    """Return a span that began at a time in microseconds; `said`: attributes, `__` for a dot."""
    return Span(
        trace_id=bytes.fromhex(trace),
        span_id=number.to_bytes(8, "big"),
        parent_span_id=parent.to_bytes(8, "big") if parent else b"",
        name=name,
        start_time_unix_nano=at * 1000,
        end_time_unix_nano=(at + took) * 1000,
        attributes=attributes({key.replace("__", "."): one for key, one in said.items()}),
    )


def request(*spans: Span, **resource: Any) -> ExportTraceServiceRequest:
    """Return what an exporter sends."""
    sent = ExportTraceServiceRequest()
    group = sent.resource_spans.add()
    of = {key.replace("__", "."): one for key, one in resource.items()}
    group.resource.attributes.extend(attributes(of))
    group.scope_spans.add().spans.extend(spans)
    return sent


def post(
    plane: Plane,
    token: str | None,
    body: bytes,
    *,
    path: str = "/v1/traces",
    kind: str = PROTOBUF,
    zipped: bool = False,
) -> httpx.Response:
    """Send a body as an exporter does."""
    headers = {"content-type": kind}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    if zipped:
        headers["content-encoding"] = "gzip"
        body = gzip.compress(body)
    return httpx.post(f"{plane.url}{path}", content=body, headers=headers, timeout=30)


def send(plane: Plane, token: str, *spans: Span, **resource: Any) -> int:
    """Send spans, which are taken; return how many of them were refused."""
    answered = post(plane, token, request(*spans, **resource).SerializeToString())
    assert answered.status_code == 200, answered.text
    response = ExportTraceServiceResponse.FromString(answered.content)
    return int(response.partial_success.rejected_spans)
