"""The plane's spans over gRPC, as a receiver made of OpenTelemetry's own service gets them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from tests.rig.deadline import eventually
from tests.rig.plane import Plane
from tests.rig.world import POLICY, world
from tests.telemetry.test_export import attribute, closed, state
from watchkeeper.tools.upstreams.egress import Egress
from watchkeeper.tools.upstreams.model import UpstreamFailure


class Sink(TraceServiceServicer):
    """Keeps what it is sent; refuses with the codes of `refusals` first."""

    def __init__(self) -> None:
        self.sent: list[ExportTraceServiceRequest] = []
        self.metadata: list[dict[str, str]] = []
        self.refusals: list[grpc.StatusCode] = []

    def Export(self, request: Any, context: Any) -> Any:
        self.metadata.append({one.key: one.value for one in context.invocation_metadata()})
        if self.refusals:
            context.abort(self.refusals.pop(0), "no room here")
        self.sent.append(request)
        return ExportTraceServiceResponse()

    def runs(self) -> set[str]:
        """Return the runs that it was told of."""
        return {
            attribute(span, "watchkeeper.run")
            for request in self.sent
            for of_resource in request.resource_spans
            for scope in of_resource.scope_spans
            for span in scope.spans
        }


@pytest.fixture(scope="module")
def sink() -> Iterator[tuple[Sink, int]]:
    server = grpc.server(ThreadPoolExecutor(2))
    kept = Sink()
    add_TraceServiceServicer_to_server(kept, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield kept, port
    server.stop(None).wait()


@pytest.fixture(scope="module")
def exporting(tmp_path_factory: pytest.TempPathFactory, sink: tuple[Sink, int]) -> Iterator[Plane]:
    environ = {
        "WATCHKEEPER_OTLP_URL": f"http://127.0.0.1:{sink[1]}",
        "WATCHKEEPER_OTLP_PROTOCOL": "grpc",
        "WATCHKEEPER_OTLP_HEADERS": "env:OTLP_SECRET",
        "OTLP_SECRET": "x-api-key=key-7fc1",
        # no such thing stands between
        "http_proxy": "http://127.0.0.1:9",
        "grpc_proxy": "http://127.0.0.1:9",
    }
    running = Plane(tmp_path_factory.mktemp("grpc"), clock="frozen", environ=environ).start()
    try:
        running.apply(*world(), policy__cedar=POLICY)
        yield running
    finally:
        running.close()


def test_spans_go_over_grpc_and_are_tried_again(exporting: Plane, sink: tuple[Sink, int]) -> None:
    kept, clerk = sink[0], exporting.enrol("clerk")
    run = closed(exporting, clerk)
    eventually(lambda: run in kept.runs(), "its run is sent")
    assert kept.metadata[-1]["x-api-key"] == "key-7fc1"

    kept.refusals.append(grpc.StatusCode.UNAUTHENTICATED)
    again = closed(exporting, clerk)
    eventually(lambda: "gRPC UNAUTHENTICATED" in state(exporting)["problem"], "it is refused")
    assert state(exporting)["state"] == "down"
    exporting.advance(60)
    eventually(lambda: again in kept.runs(), "it is sent again")

    kept.refusals.append(grpc.StatusCode.INVALID_ARGUMENT)
    closed(exporting, clerk)
    eventually(lambda: state(exporting)["lost"] == 1, "a batch that is never taken is given up")


@pytest.mark.parametrize(
    "settings",
    [
        {"OTLP_URL": "http://127.0.0.1:4317/v1/traces", "OTLP_PROTOCOL": "grpc"},
        {"OTLP_URL": "http://127.0.0.1:4317", "OTLP_PROTOCOL": "carrier pigeons"},
    ],
)
def test_settings_that_mean_nothing_are_refused(tmp_path: Path, settings: dict[str, str]) -> None:
    environ = {f"WATCHKEEPER_{name}": value for name, value in settings.items()}
    with pytest.raises(AssertionError, match="OTLP_"):
        Plane(tmp_path, environ=environ).start(seconds=20)


async def lookup(host: str, port: int, family: int) -> list[tuple[int, str]]:
    return [(socket.AF_INET, "10.0.0.1")]


@pytest.mark.parametrize(
    ("url", "declared"),
    [
        ("http://169.254.169.254:4317", True),
        ("http://inside.example.org:4317", True),
        ("http://127.0.0.1:4317", False),
    ],
)
async def test_nothing_is_called_where_no_request_may_go(url: str, declared: bool) -> None:
    egress = Egress(declares=lambda origin: declared, lookup=lookup)
    with pytest.raises(UpstreamFailure):
        await egress.call(url, "/x/y", b"", {}, allow_private=False, largest=10, seconds=1)
