"""What OTLP/HTTP answers: what was taken, or a `google.rpc.Status`."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import MessageToJson
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from watchkeeper.core.errors import WatchkeeperError

_CODES = {400: 3, 401: 16, 403: 7, 413: 3, 429: 8, 503: 14}
"""HTTP status → code of google.rpc."""
_RESPONSES = {
    "traces": ExportTraceServiceResponse,
    "logs": ExportLogsServiceResponse,
    "metrics": ExportMetricsServiceResponse,
}
_RECORDS = {"traces": "spans", "logs": "log_records", "metrics": "data_points"}


def taken(signal: str, rejected: int, why: str, *, json: bool) -> bytes:
    """Say that it was taken, and of its records how many were not."""
    message: Any = _RESPONSES[signal]()
    if rejected:
        records = _RECORDS[signal]
        setattr(message.partial_success, f"rejected_{records}", rejected)
        message.partial_success.error_message = f"some {records.replace('_', ' ')} are {why}"
    return _written(message, json)


def refused(error: WatchkeeperError, *, json: bool) -> bytes:
    """Say why nothing was taken."""
    words = f"{error.message}; {error.remedy}" if error.remedy else error.message
    return _written(Status(code=_CODES.get(error.status, 13), message=words), json)


def _written(message: Any, json: bool) -> bytes:
    if json:
        return bytes(MessageToJson(message, indent=None).encode())
    return bytes(message.SerializeToString())
