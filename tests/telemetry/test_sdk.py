"""The OpenTelemetry SDK with its stock exporter, as agents have it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import inject
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Status, StatusCode

from tests.rig.agent import Agent
from tests.rig.plane import Plane
from tests.rig.world import POLICY, world


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """A plane on the time of this machine, by which the SDK dates its spans."""
    running = Plane(tmp_path_factory.mktemp("sdk")).start()
    try:
        running.apply(*world(), policy__cedar=POLICY)
        yield running
    finally:
        running.close()


@pytest.fixture
def clerk(live: Plane) -> Agent:
    return live.enrol("clerk")


def provider(plane: Plane, token: str) -> TracerProvider:
    exporter = OTLPSpanExporter(
        endpoint=f"{plane.url}/v1/traces",
        headers={"authorization": f"Bearer {token}"},
        compression=Compression.Gzip,
    )
    found = TracerProvider(resource=Resource.create({"service.name": "refund-service"}))
    found.add_span_processor(BatchSpanProcessor(exporter))
    return found


def test_what_the_sdk_exports_is_joined_by_its_trace_context(live: Plane, clerk: Agent) -> None:
    run = clerk.open_run()
    sdk = provider(live, clerk.credential)
    tracer = sdk.get_tracer("tests")
    headers: dict[str, str] = {}
    with tracer.start_as_current_span("invoke_agent clerk") as outer:
        outer.set_attribute("gen_ai.operation.name", "invoke_agent")
        outer.set_attribute("gen_ai.agent.name", "clerk")
        with tracer.start_as_current_span("execute_tool books.echo") as tool:
            tool.set_attributes(
                {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "books.echo"}
            )
            inject(headers)
            decision = run.decide("books.echo", traceparent=headers["traceparent"])["decision"]
            tool.record_exception(ValueError("no such charge"))
            tool.set_status(Status(StatusCode.ERROR, "no such charge"))
    live.operator.get("/v1/spans")  # tells what was decided
    assert sdk.force_flush()
    sdk.shutdown()
    rows = {row["key"]: row for row in live.operator.get(f"/v1/traces/{run.id}")["rows"]}
    said = {row["operation"]: row for row in rows.values() if row["source"] == "agent"}
    assert set(said) == {"invoke_agent", "execute_tool"}
    tool_row, decided = said["execute_tool"], rows[decision]
    assert decided["parent"] == tool_row["span"], "the plane's span stands below the agent's"
    assert decided["depth"] == tool_row["depth"] + 1
    assert (tool_row["status"], tool_row["error"]) == ("error", "no such charge")
    assert [mark["name"] for mark in tool_row["marks"]] == ["exception"]
    assert tool_row["attributes"]["service.name"] == "refund-service"
