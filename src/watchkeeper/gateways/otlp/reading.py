"""OTLP records, in protobuf or JSON, as what they say.

https://opentelemetry.io/docs/specs/otlp/ and github.com/open-telemetry/opentelemetry-proto.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from watchkeeper.core.errors import Invalid
from watchkeeper.gateways.otlp.splitting import LARGEST_RECORD, Group, check_counts, split
from watchkeeper.traces.model import MOST_LINKS, MOST_MARKS
from watchkeeper.traces.telemetry.events import said_of
from watchkeeper.traces.telemetry.measuring import Measured, Point, measured_of
from watchkeeper.traces.telemetry.model import Moment, Record, Said
from watchkeeper.wire.traces import SpanStatus

_DEEPEST = 6
_MOST_VALUES = 256
"""Members of one value."""
_MOST_ATTRIBUTES = 512
_TRACE_BYTES, _SPAN_BYTES = 16, 8
_STATUS: Mapping[int, SpanStatus] = {
    Status.STATUS_CODE_OK: "ok",
    Status.STATUS_CODE_ERROR: "error",
}
_JSON = {
    "traces": ("resourceSpans", "scopeSpans", "spans"),
    "logs": ("resourceLogs", "scopeLogs", "logRecords"),
    "metrics": ("resourceMetrics", "scopeMetrics", "metrics"),
}
_DELTA = "AGGREGATION_TEMPORALITY_DELTA"
_Reader = Callable[[Any, Mapping[str, Any]], Said | None]
"""Takes a message and the attributes of its resource."""


def read_spans(body: bytes, *, json: bool) -> Iterator[Said | None]:
    """Take a body apart; return its spans as they are read, None for each that is none.

    Raises `Invalid` or `TooLarge` for a body that cannot be taken apart.
    """
    return _records(body, "traces", Span, _said, json=json)


def read_logs(body: bytes, *, json: bool) -> Iterator[Said | None]:
    """Take a body apart; return what its log records tell of, None for each that tells nothing.

    Raises as `read_spans` does.
    """
    return _records(body, "logs", LogRecord, _told, json=json)


def _records(
    body: bytes, signal: str, kind: Any, read: _Reader, *, json: bool
) -> Iterator[Said | None]:
    if json:
        return _of_json(list(_groups(body, signal)), kind, read)
    return _of_protobuf(list(split(body)), kind, read)


def _of_protobuf(groups: list[Group], kind: Any, read: _Reader) -> Iterator[Said | None]:
    for group in groups:
        known = _attributes(_decoded(Resource(), group.resource))
        for record in group.records:
            yield read(_decoded(kind(), record), known)


def _of_json(
    groups: list[tuple[Any, list[Any]]], kind: Any, read: _Reader
) -> Iterator[Said | None]:
    for resource, records in groups:
        known = _attributes(_parsed(Resource(), resource))
        for record in records:
            yield read(_parsed(kind(), _with_bytes(record)), known)


def read_points(body: bytes, *, json: bool) -> Iterator[Measured | None]:
    """Take a body apart; return what its points tell, None for each that tells nothing.

    Raises as `read_spans` does, for too many points as they are read.
    """
    found = _of_metrics(body, json=json)
    for count, point in enumerate(found, 1):
        check_counts(count, 0)
        yield point


def _of_metrics(body: bytes, *, json: bool) -> Iterator[Measured | None]:
    if json:
        for said, records in list(_groups(body, "metrics")):
            resource = _attributes(_parsed(Resource(), said))
            for record in records:
                yield from _measured(_parsed(Metric(), record), resource)
        return
    for group in list(split(body)):
        resource = _attributes(_decoded(Resource(), group.resource))
        for record in group.records:
            yield from _measured(_decoded(Metric(), record), resource)


def _measured(metric: Any, resource: Mapping[str, Any]) -> Iterator[Measured | None]:
    kind = metric.WhichOneof("data") if metric is not None else None
    if kind is None:
        return
    held = getattr(metric, kind)
    summed = kind == "histogram" or (kind == "sum" and held.is_monotonic)
    for point in held.data_points:
        if not summed:
            yield None
            continue
        value = (
            point.sum
            if kind == "histogram"
            else getattr(point, point.WhichOneof("value") or "as_int")
        )
        yield measured_of(
            Point(
                metric=metric.name,
                at=point.time_unix_nano // 1000,
                start=point.start_time_unix_nano // 1000,
                value=value,
                delta=held.aggregation_temporality == AggregationTemporality.Value(_DELTA),
                attributes=_attributes(point),
                resource=resource,
            )
        )


def _groups(body: bytes, signal: str) -> Iterator[tuple[Any, list[Any]]]:
    of_resources, of_scopes, of_records = _JSON[signal]
    try:
        sent = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise Invalid("the body is no JSON", where="body") from None
    if not isinstance(sent, dict):
        raise Invalid("the body is no OTLP message", where="body")
    count = groups = 0
    for one in _list(sent, of_resources):
        groups += 1
        if not isinstance(one, dict):
            raise Invalid(f"{of_resources} holds what is no object", where="body")
        for scope in _list(one, of_scopes):
            records = _list(scope, of_records) if isinstance(scope, dict) else []
            count += len(records)
            groups += 1
            check_counts(count, groups)
            yield one.get("resource"), records
        check_counts(count, groups)


def _list(found: Mapping[str, Any], name: str) -> list[Any]:
    value = found.get(name)
    return value if isinstance(value, list) else []


def _decoded(message: Any, data: bytes) -> Any:
    """Return a message from its bytes, or None."""
    if len(data) > LARGEST_RECORD:
        return None
    try:
        message.ParseFromString(data)
    except DecodeError:
        return None
    return message


def _parsed(message: Any, found: Any) -> Any:
    """Return a message from its JSON, or None."""
    try:
        return ParseDict(found or {}, message, ignore_unknown_fields=True, max_recursion_depth=20)
    except (ParseError, AttributeError, TypeError, ValueError, RecursionError):
        return None


def _with_bytes(span: Any) -> Any:
    """Return a span or link with its ids as protobuf's JSON has them: OTLP writes them in hex."""
    if not isinstance(span, dict):
        return None
    links = [_with_bytes(one) for one in _list(span, "links")[:MOST_LINKS]]
    changed = dict(span)
    if links:
        changed["links"] = [one for one in links if one is not None]
    for name in ("traceId", "spanId", "parentSpanId"):
        value = span.get(name)
        if isinstance(value, str):
            try:
                changed[name] = base64.b64encode(bytes.fromhex(value)).decode()
            except ValueError:
                return None
    return changed


def _said(span: Any, resource: Mapping[str, Any]) -> Said | None:
    if span is None or not _is_id(span.trace_id, _TRACE_BYTES):
        return None
    if not _is_id(span.span_id, _SPAN_BYTES):
        return None
    parent = span.parent_span_id
    return Said(
        trace=span.trace_id.hex(),
        span=span.span_id.hex(),
        parent=parent.hex() if _is_id(parent, _SPAN_BYTES) and parent != span.span_id else None,
        name=span.name,
        start=span.start_time_unix_nano // 1000,
        end=span.end_time_unix_nano // 1000,
        attributes=_attributes(span),
        resource=resource,
        status=_STATUS.get(span.status.code, "unset"),
        error=span.status.message,
        moments=tuple(
            Moment(one.time_unix_nano // 1000, one.name, _attributes(one))
            for one in span.events[:MOST_MARKS]
        ),
        links=tuple(
            (link.trace_id.hex(), link.span_id.hex())
            for link in span.links[:MOST_LINKS]
            if _is_id(link.trace_id, _TRACE_BYTES) and _is_id(link.span_id, _SPAN_BYTES)
        ),
    )


def _told(record: Any, resource: Mapping[str, Any]) -> Said | None:
    if record is None:
        return None
    known = _is_id(record.trace_id, _TRACE_BYTES)
    return said_of(
        Record(
            at=(record.time_unix_nano or record.observed_time_unix_nano) // 1000,
            name=record.event_name,
            body=_value(record.body, 0),
            attributes=_attributes(record),
            resource=resource,
            trace=record.trace_id.hex() if known else None,
            span=record.span_id.hex() if known and _is_id(record.span_id, _SPAN_BYTES) else None,
        )
    )


def _is_id(found: bytes, size: int) -> bool:
    return len(found) == size and any(found)


def _attributes(message: Any) -> dict[str, Any]:
    if message is None:
        return {}
    return {one.key: _value(one.value, 0) for one in message.attributes[:_MOST_ATTRIBUTES]}


def _value(value: AnyValue, depth: int) -> Any:
    kind = value.WhichOneof("value")
    if kind is None or depth > _DEEPEST:
        return None
    if kind == "array_value":
        return [_value(one, depth + 1) for one in value.array_value.values[:_MOST_VALUES]]
    if kind == "kvlist_value":
        held = value.kvlist_value.values[:_MOST_VALUES]
        return {one.key: _value(one.value, depth + 1) for one in held}
    if kind == "bytes_value":
        return binascii.b2a_base64(value.bytes_value, newline=False).decode()
    return getattr(value, kind)
